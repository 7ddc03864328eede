"""The sections of a configuration; read from this source by the validator, never instantiated.

A class whose name ends in ``Config`` or ``Settings`` is a section with fixed keys, everything else a component.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ganrun.core.arguments import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt

if TYPE_CHECKING:
    from ganrun.augment.base import Augment
    from ganrun.core.types import Dataset
    from ganrun.engine.settings import EvaluationSettings, PlayerSettings, TrainerSettings, WatchdogSettings
    from ganrun.games.base import Game
    from ganrun.losses.objective import Objective


@dataclass
class SweepSettings:
    """How the runs of a sweep are trained.

    Args:
        folder: of the sweep; ``None`` for a single run.
        on_error: ``stop``: no run starts once one has failed.
        retry: failed runs are trained again.
        jobs_per_gpu: runs that may share a GPU.
        trial: number of the search's trial that a run is; ``None`` where it is none.
    """

    folder: str | None
    on_error: Literal["continue", "stop"]
    retry: bool
    jobs_per_gpu: PositiveInt
    trial: NonNegativeInt | None


@dataclass
class RunConfig:
    """What ``ganrun`` trains.

    Args:
        run: run folder: made when new, resumed when it exists; ``None``: a new one.
        name: label in the folder's name.
        seed: decides everything random.
        sweep: how the runs of a sweep are trained.
        player: player -> what is done around its optimizer.
        trainer: how long, where, how often.
        optimizer: player -> its optimizer.
        watchdog: signs of failures, and what is done about them.
        evaluation: scores.
        loss: what the players minimise.
        augment: name -> what every sample passes through before a discriminator sees it.
        model: the game and its networks.
        dataset: what it is played on.
    """

    run: str | None
    name: str | None
    seed: NonNegativeInt
    sweep: SweepSettings
    player: dict[str, PlayerSettings]
    trainer: TrainerSettings
    optimizer: dict[str, Callable[..., Any]]
    watchdog: WatchdogSettings
    evaluation: EvaluationSettings
    loss: Objective
    augment: dict[str, Augment]
    model: Game
    dataset: Dataset


@dataclass
class SampleConfig:
    """What ``ganrun sample`` makes.

    Args:
        run: folder of a trained run.
        count: how many samples; ``None``: 64, or 1 of a picture that is edited or enlarged.
        seed: of the latents.
        truncation: latents beyond this many standard deviations are drawn again, or ψ of styles; ``None``: off.
        condition: class of all samples; ``None``: one class per row.
        text: one or several, of each of which ``count`` samples are drawn; ``None``: captions of the data.
        layout: label map, or directory or ZIP archive of them, to be drawn; ``count`` is of each.
        style: image whose style all samples take.
        files: one grid, or a file per sample.
        numbered: whether every image of a grid has its number below it.
        arithmetic: a sum of numbered samples' latents, whose picture is drawn instead.
        spread: how far from the sum its neighbours are.
        step: checkpoint: the newest, the best or the one of a step.
        output: folder or file to write; ``None``: inside the run folder.
        height: of SinGAN's samples, relative to its image's.
        width: likewise.
        start_scale: first scale of SinGAN that gets noise.
        inject: picture that enters SinGAN below ``start_scale``; without that, below every scale.
        quantise: colours of the picture that a painting gets first; ``None``: it keeps its own.
        mask: picture, bright where an injected one was changed; the rest of the result is the run's own.
        dilate: pixels by which the mask is widened.
        blur: standard deviation in pixels of its edges.
        upscale: factor by which SinGAN enlarges its picture; ``None``: samples are drawn.
        animate: whether a clip is made.
        frames: of the clip.
        fps: frames per second of the clip.
        pull: of the clip, how strongly it is drawn back to the picture: α.
        inertia: of the clip, how smooth it is: β.
    """

    run: str
    count: PositiveInt | None
    seed: NonNegativeInt
    truncation: Positive | None
    condition: NonNegativeInt | None
    text: str | list[str] | None
    layout: str | None
    style: str | None
    files: Literal["grid", "single"]
    numbered: bool
    arithmetic: str | None
    spread: Fraction
    step: Literal["last", "best"] | NonNegativeInt
    output: str | None
    height: Positive | None
    width: Positive | None
    start_scale: NonNegativeInt | None
    inject: str | None
    quantise: PositiveInt | None
    mask: str | None
    dilate: NonNegative
    blur: NonNegative
    upscale: Positive | None
    animate: bool
    frames: PositiveInt
    fps: Positive
    pull: Fraction
    inertia: Fraction


@dataclass
class EvaluateConfig:
    """What ``ganrun evaluate`` scores: exactly one of ``run``, ``runs`` and ``generated``.

    Args:
        run: folder of a trained run.
        runs: folders with runs anywhere below them, or patterns for such.
        generated: directory or ZIP archive of images.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        truncation: latents beyond this many standard deviations are drawn again, or ψ of styles; ``None``: off.
        seed: of the latents; ``None``: the run's own.
        output: file that remembers the scores; ``None``: in the run folder.
        evaluation: scores.
        dataset: the real data; ``None`` while none was chosen.
    """

    run: str | None
    runs: str | list[str] | None
    generated: str | None
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    truncation: Positive | None
    seed: NonNegativeInt | None
    output: str | None
    evaluation: EvaluationSettings
    dataset: Dataset | None


@dataclass
class NeighboursConfig:
    """What ``ganrun neighbours`` draws.

    Args:
        run: folder of a trained run.
        count: generated samples, one per row.
        neighbours: real images beside each.
        space: where distances are measured.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        truncation: latents beyond this many standard deviations are drawn again, or ψ of styles; ``None``: off.
        seed: of the latents.
        output: file to write; ``None``: inside the run folder.
        evaluation: its features are those of ``space=features``.
        dataset: the real data.
    """

    run: str
    count: PositiveInt
    neighbours: PositiveInt
    space: Literal["features", "pixels"]
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    truncation: Positive | None
    seed: NonNegativeInt
    output: str | None
    evaluation: EvaluationSettings
    dataset: Dataset | None


@dataclass
class ReconstructConfig:
    """What ``ganrun reconstruct`` draws.

    Args:
        run: folder of a trained run.
        count: images that are read and written again.
        columns: images in a row.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        output: file to write; ``None``: inside the run folder.
        dataset: the images.
    """

    run: str
    count: PositiveInt
    columns: PositiveInt
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    output: str | None
    dataset: Dataset | None


@dataclass
class TranslateConfig:
    """What ``ganrun translate`` turns into what.

    Args:
        run: folder of a trained run, or of exported translators.
        input: directory, ZIP archive or image; label maps where the run takes these.
        output: folder to write into.
        direction: of the translation; ``None``: the first that the run knows.
        size: images keep their size, or are brought to that of the training images.
        half: use only this half of side-by-side pairs.
        side_by_side: whether every file has the input left of the output.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        seed: of what is random in translations.
        device: where it is done.
    """

    run: str
    input: str
    output: str
    direction: str | None
    size: Literal["keep", "training"]
    half: Literal["left", "right"] | None
    side_by_side: bool
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    seed: NonNegativeInt
    device: Literal["auto", "cpu", "cuda"]


@dataclass
class InterpolateConfig:
    """What ``ganrun interpolate`` draws.

    Args:
        run: folder of a trained run.
        rows: ways, each between two latents.
        columns: samples on a way, its ends included.
        path: straight line, arc, or what suits the latents.
        from_text: where ways begin that lead from text to text, each with a latent of its own.
        to_text: where they end.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        truncation: latents beyond this many standard deviations are drawn again, or ψ of styles; ``None``: off.
        seed: of the latents.
        output: file to write; ``None``: inside the run folder.
    """

    run: str
    rows: PositiveInt
    columns: Annotated[int, ">= 2"]
    path: Literal["linear", "spherical", "auto"]
    from_text: str | None
    to_text: str | None
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    truncation: Positive | None
    seed: NonNegativeInt
    output: str | None


@dataclass
class TruncationConfig:
    """What ``ganrun truncation`` scores.

    Args:
        run: folder of a trained run.
        values: of truncation; ``None`` in it: none.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        seed: of the latents; ``None``: the run's own.
        output: picture to write; ``None``: inside the run folder.
        evaluation: scores.
        dataset: the real data.
    """

    run: str
    values: list[Positive | None]
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    seed: NonNegativeInt | None
    output: str | None
    evaluation: EvaluationSettings
    dataset: Dataset | None


@dataclass
class ExportConfig:
    """What ``ganrun export`` writes.

    Args:
        run: folder of a trained run.
        format: of the files.
        step: checkpoint: the newest, the best or the one of a step.
        weights: moving averages or the weights trained last.
        output: folder to write into; ``None``: inside the run folder.
    """

    run: str
    format: Literal["safetensors", "torch_export", "onnx"]
    step: Literal["last", "best"] | NonNegativeInt
    weights: Literal["ema", "raw"]
    output: str | None


@dataclass
class ReportConfig:
    """What ``ganrun report`` compares.

    Args:
        folders: of runs or sweeps, or with such anywhere below them.
        metric: tag of the metric that ranks; ``None``: the one that selects the best checkpoints.
        output: folder to write into; ``None``: the folder itself; of several, one below ``outputs/reports``.
    """

    folders: list[str]
    metric: str | None
    output: str | None


@dataclass
class DemoConfig:
    """What ``ganrun demo`` shows.

    Args:
        name: a module of :mod:`ganrun.demos`.
        output: picture to write; ``None``: ``outputs/demos/<name>.png``.
    """

    name: Literal["dirac_gan", "parallel_lines", "transport"]
    output: str | None


@dataclass
class WatchConfig:
    """What ``ganrun watch`` shows.

    Args:
        folder: of a sweep.
        patience: seconds without a run that trains, after which it ends; ``None``: only when every run has ended.
    """

    folder: str
    patience: Positive | None
