"""Plain settings of the engine; importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ganrun.core.arguments import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt


@dataclass(frozen=True)
class TrainerSettings:
    """How long, where and how often.

    Args:
        steps: steps of every stage; a step is one pass through the game's ``play``.
        batch_size: samples per move over all devices and micro-batches.
        accumulate: micro-batches per move.
        device: where to train; ``auto`` takes CUDA when there is one.
        devices: number of processes.
        precision: of the networks; losses, penalties and statistics are float32. ``auto``: bf16 where the hardware
            has units for it; ``tf32``: float32 whose products are cut to TF32, on CUDA.
        capture: ``auto``: on CUDA, whole steps are recorded as CUDA graphs and played again, where the game allows it;
            ``never``: every step is played kernel by kernel.
        threads: CPU threads per process; ``None``: its share of the cores on a CPU, beside a GPU torch's choice.
        log_every_steps: length of a tick, after which statistics are written.
        picture_every_steps: between two sets of pictures; 0: only at the end.
        picture_samples: samples in a picture.
        standing_batches: batches from which batch norm's statistics are taken anew whenever samples are about to be
            drawn; 0: the running averages of training serve.
        standing_batch_size: samples in each of them.
        checkpoint_every_steps: between two checkpoints; 0: only at the end.
        keep_checkpoints: how many of the newest checkpoints stay on disk.
    """

    steps: PositiveInt
    batch_size: PositiveInt
    accumulate: PositiveInt
    device: Literal["auto", "cpu", "cuda"]
    devices: PositiveInt
    precision: Literal["auto", "fp32", "tf32", "bf16"]
    capture: Literal["auto", "never"]
    threads: PositiveInt | None
    log_every_steps: PositiveInt
    picture_every_steps: NonNegativeInt
    picture_samples: PositiveInt
    standing_batches: NonNegativeInt
    standing_batch_size: Annotated[int, ">= 2"]
    checkpoint_every_steps: NonNegativeInt
    keep_checkpoints: PositiveInt


@dataclass(frozen=True)
class WatchdogSettings:
    """When a curve is called the sign of a failure, and what is done then.

    Args:
        action: ``warn``; ``stop``: end the run, with everything saved; ``rollback``: restore an earlier checkpoint and
            go on; ``none``: do not look.
        patience: ticks in a row that must show a sign; trends are judged over three times as many.
        warmup: first ticks of every stage, which are not judged.
        max_rollbacks: how often a run may be rolled back before it is stopped.
        accuracy: the discriminator has won where it is right at least this often ...
        loss_share: ... and its loss is below this share of its value at equilibrium.
        gradient: the generator's gradient has vanished where its strength per fake score is below this.
        diversity: the generator has collapsed where the spread of fakes, relative to that of reals, is below this.
        swing: the players oscillate where the lead of the reals' mean score goes this many standard deviations up and
            down.
        slope: the discriminator diverges where its mean slope is above this ...
        growth: ... and has grown by this factor, steadily.
        idle: the discriminator is idle where its accuracy has never been more than this above one half.
    """

    action: Literal["warn", "stop", "rollback", "none"]
    patience: Annotated[int, ">= 2"]
    warmup: NonNegativeInt
    max_rollbacks: NonNegativeInt
    accuracy: Fraction
    loss_share: Fraction
    gradient: NonNegative
    diversity: NonNegative
    swing: Positive
    slope: Positive
    growth: Annotated[float, ">= 1"]
    idle: Fraction


@dataclass(frozen=True)
class AverageSettings:
    """Exponential moving average of a player's weights, after StyleGAN2's rule.

    Args:
        halflife_images: images after which a weight's influence has halved.
        rampup: the half-life is at most this fraction of the images seen so far.
    """

    halflife_images: Positive
    rampup: Fraction


@dataclass(frozen=True)
class PlayerSettings:
    """What is done around a player's optimizer.

    Args:
        schedule: factor on the learning rate as a function of the stage's progress in [0, 1].
        max_grad_norm: global norm to which gradients are clipped; ``None``: not clipped.
        weight_clip: every weight is clamped to [-c, c] after the update; ``None``: not clamped.
        ema: moving average that samples, pictures and metrics use; ``None``: the weights themselves.
    """

    schedule: Callable[[float], float]
    max_grad_norm: Positive | None
    weight_clip: Positive | None
    ema: AverageSettings | None


@dataclass(frozen=True)
class EvaluationSettings:
    """Which scores, on how many samples, how often.

    Args:
        every_steps: between two evaluations; 0: only at the end.
        samples: generated samples per evaluation.
        real: real samples to compare with; ``None``: the whole data set.
        batch_size: samples generated at once.
        best: name of the metric that selects the best checkpoint; ``None``: no best checkpoint is kept.
        metrics: name -> metric.
        features: extractor that the image metrics share; ``None`` where no metric needs one.
    """

    every_steps: NonNegativeInt
    samples: PositiveInt
    real: PositiveInt | None
    batch_size: PositiveInt
    best: str | None
    metrics: dict[str, Any]
    features: Any
