"""Plain settings of the engine; importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ganrun.core.arguments import Fraction, NonNegativeInt, Positive, PositiveInt


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
            has units for it.
        threads: CPU threads per process; ``None`` leaves torch's choice.
        log_every_steps: length of a tick, after which statistics are written.
        picture_every_steps: between two sets of pictures; 0: only at the end.
        picture_samples: samples in a picture.
        checkpoint_every_steps: between two checkpoints; 0: only at the end.
        keep_checkpoints: how many of the newest checkpoints stay on disk.
    """

    steps: PositiveInt
    batch_size: PositiveInt
    accumulate: PositiveInt
    device: Literal["auto", "cpu", "cuda"]
    devices: PositiveInt
    precision: Literal["auto", "fp32", "bf16"]
    threads: PositiveInt | None
    log_every_steps: PositiveInt
    picture_every_steps: NonNegativeInt
    picture_samples: PositiveInt
    checkpoint_every_steps: NonNegativeInt
    keep_checkpoints: PositiveInt


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
