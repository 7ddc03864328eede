"""The logbook: scalars, text, hyperparameters and pictures to TensorBoard, metrics.jsonl, the log and the screen."""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ganrun.core.errors import RunError
from ganrun.core.files import write_text
from ganrun.core.statistics import Statistics
from ganrun.core.tensors import snapshot
from ganrun.engine import distributed
from ganrun.engine.background import Background
from ganrun.engine.folder import RunFolder

if TYPE_CHECKING:
    from ganrun.engine.trainer import Trainer

log = logging.getLogger(__name__)

LINE_EVERY_SECONDS = 10.0
SESSION = ".session"
"""Ending of the event files that hold what the HPARAMS tab shows of a run."""

NON_FINITE_REMEDY = (
    "Start a new run with lower learning rates, technique=[gradient_clipping] or trainer.precision=fp32."
)


CHARTS = {
    "discriminator: loss and equilibrium": [r"adversarial/discriminator.*", r"equilibrium/discriminator.*"],
    "generator: loss and equilibrium": [r"adversarial/generator.*", r"equilibrium/generator.*"],
    "mean scores": [r"score/real.*", r"score/fake.*"],
    "discriminator: accuracy": [r"score/accuracy.*"],
    "certified bounds of divergences": [r"bound/.*"],
    "gradient norms": [r"gradient_norm/.*"],
    "generator: gradient per fake score": [r"saturation/.*"],
    "diversity of fakes": [r"diversity/.*"],
    "discriminator: slope": [r"slope/.*"],
}
"""Charts of the CUSTOM SCALARS tab: title -> patterns of the tags that stand in it."""


class Observer(Protocol):
    """Who follows the curves."""

    def observe(self, trainer: Trainer, steps: int, means: dict[str, float]) -> dict[str, float]:
        """Take in the means of a tick of ``steps`` steps; further scalars to write."""

    def mend(self, trainer: Trainer, cause: str) -> bool:
        """Whether training can go on after a value that was not finite."""


class Logbook:
    """Helper that writes everything down, once per tick. The files are the background's from their opening on.

    Args:
        folder: the run folder.
        every_steps: length of a tick.
        config: resolved configuration, shown as text.
        hyperparameters: what tells the run from others, for the HPARAMS tab.

    Attributes:
        latest: newest value of every scalar.
        watchdog: told about every tick, if there is one.
        background: shared by all who write into the run folder, so that files come in the order of training.
    """

    def __init__(
        self, folder: RunFolder, every_steps: int, config: dict[str, Any], hyperparameters: dict[str, str | float]
    ) -> None:
        self.folder = folder
        self.every_steps = every_steps
        self.config = config
        self.hyperparameters = hyperparameters
        self.latest: dict[str, float] = {}
        self.watchdog: Observer | None = None
        self.background = Background()
        self._writer: Any = None
        self._bar: tqdm[Any] | None = None
        self._redirect: Any = None
        self._line_at = 0.0
        self._charted = False

    def begin(self, trainer: Trainer) -> None:
        """Have the files opened; curves go on where the checkpoint was made."""
        self._mark(trainer)
        step, total = trainer.step, trainer.stage_start + trainer.settings.steps
        self.background.submit(lambda: self._open(step))
        if not distributed.is_main():
            return
        self._bar = tqdm(total=total, initial=step, unit="step", disable=None, dynamic_ncols=True)
        self._redirect = nullcontext() if self._bar.disable else logging_redirect_tqdm()
        self._redirect.__enter__()

    def after_step(self, trainer: Trainer) -> None:
        """Close the tick when it is due."""
        if self._bar is not None:
            self._bar.update(trainer.step - self._bar.n)
        if trainer.step % self.every_steps == 0:
            self.tick(trainer)

    def finish(self, trainer: Trainer) -> None:
        """Close the last tick."""
        self.tick(trainer)

    def close(self, finished: bool) -> None:
        """See everything written and close the files; ``finished`` marks the run as a success in the HPARAMS tab."""
        self.background.close()
        if self._bar is not None:
            self._bar.close()
            self._redirect.__exit__(None, None, None)
            self._bar = None
        if self._writer is None:
            return
        self._writer.close()
        self._write_session(self._end if finished else failure_summary())
        self._jsonl.close()
        self._writer = None

    def tick(self, trainer: Trainer) -> None:
        """Write the means since the last tick, speed and the time breakdown.

        Raises:
            RunError: a reported value is not finite, and the watchdog does not mend it.
        """
        steps = trainer.step - self._tick_step
        if steps == 0:
            return
        try:
            means = self._flush(trainer.stage.game.statistics)
        except RunError as error:
            if self.watchdog is None or not self.watchdog.mend(trainer, str(error)):
                self.background.wait()  # the last checkpoint may be in the writing
                raise RunError(f"{error}. {self.folder.last_good()} {NON_FINITE_REMEDY}") from None
            self._mark(trainer)
            return
        if self.watchdog is not None:
            means |= self.watchdog.observe(trainer, steps, means)
        means |= {f"learning_rate/{name}": player.learning_rate for name, player in trainer.players.items()}
        means |= self._speed(trainer, steps)
        self._mark(trainer)
        self.add_scalars(means, trainer.step)
        self._draw(trainer, steps)
        self._show(trainer)

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Have scalars written to TensorBoard and ``metrics.jsonl``."""
        self.latest |= values
        self.background.submit(lambda: self._write_scalars(values, step))

    def add_text(self, tag: str, text: str, step: int) -> None:
        """Have a text written to TensorBoard."""
        self.background.submit(lambda: self._writer.add_text(tag, text, step))

    def show_picture(self, name: str, path: Path, step: int) -> None:
        """Write a PNG to TensorBoard; part of a job of the background."""
        if self._writer is None:  # pictures of untrained networks come before the files are opened
            return
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        with Image.open(path) as picture:
            width, height = picture.size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes())
        summary = Summary(value=[Summary.Value(tag=f"samples/{name}", image=image)])
        self._writer._get_file_writer().add_summary(summary, step)

    def _open(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self.folder.path.mkdir(parents=True, exist_ok=True)
        self._forget_after(step)
        for old in self.folder.path.glob(f"events.*{SESSION}"):
            old.unlink()
        # only the session's own summaries: with an experiment summary TensorBoard would show one run's columns for all
        _, start, self._end = hparams(self.hyperparameters, {})
        self._write_session(start)
        self._jsonl = (self.folder.path / "metrics.jsonl").open("a")
        self._writer = SummaryWriter(str(self.folder.path), purge_step=step + 1 if step else None)
        self._writer.add_text("config", "```yaml\n" + self._config_text() + "\n```", step)

    def _write_scalars(self, values: dict[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag_in_tensorboard(tag), value, step)
        self._jsonl.write(json.dumps({"step": step} | values) + "\n")
        self._jsonl.flush()

    def _write_histograms(self, samples: dict[str, Tensor], step: int) -> None:
        for tag, values in samples.items():
            self._writer.add_histogram(tag, values, step)

    def _draw(self, trainer: Trainer, steps: int) -> None:
        """After the first tick the charts of what there is; histograms as often as pictures."""
        step = trainer.step
        if not self._charted:
            shown = {"diagnostics": charts(list(self.latest))}
            self.background.submit(lambda: self._writer.add_custom_scalars(shown))
            self._charted = True
        every = trainer.settings.picture_every_steps
        last = step >= trainer.stage_start + trainer.settings.steps
        if last or (every and step // every > (step - steps) // every):
            samples = snapshot({tag: values.float() for tag, values in trainer.stage.game.statistics.newest.items()})
            self.background.submit(lambda: self._write_histograms(samples, step))

    def _flush(self, statistics: Statistics) -> dict[str, float]:
        """Means over the tick and over processes; a broken value in one process stops all of them."""
        means, broken = {}, ""
        try:
            means = statistics.flush()
        except RunError as error:
            broken = str(error)
        everyone = distributed.gather((means, broken))
        if broken := next((text for _, text in everyone if text), ""):
            raise RunError(broken)
        return {tag: sum(other[tag] for other, _ in everyone) / len(everyone) for tag in means}

    def _mark(self, trainer: Trainer) -> None:
        self._tick_step = trainer.step
        self._tick_time = time.perf_counter()
        self._tick_images = trainer.stream.images_seen
        self._tick_seconds = self._seconds(trainer)

    def _seconds(self, trainer: Trainer) -> dict[str, float]:
        """What the time since the beginning went into; the background's went by beside the others'."""
        return trainer.seconds | {"data": trainer.stream.seconds, "background": self.background.seconds}

    def _speed(self, trainer: Trainer, steps: int) -> dict[str, float]:
        elapsed = max(time.perf_counter() - self._tick_time, 1e-9)
        shares = {
            f"time/{name}": (total - self._tick_seconds.get(name, 0.0)) / elapsed
            for name, total in self._seconds(trainer).items()
        }
        speed = {
            "speed/steps_per_second": steps / elapsed,
            "speed/images_per_second": (trainer.stream.images_seen - self._tick_images) / elapsed,
            "speed/images_seen": float(trainer.stream.images_seen),
        }
        return speed | {"speed/peak_memory_gib": peak_memory_gib(trainer.device)} | shares

    def _show(self, trainer: Trainer) -> None:
        if self._bar is None:
            return
        rate = self.latest["speed/steps_per_second"]
        told = loss_totals(self.latest)
        if images := self.latest["speed/images_per_second"]:
            told.append(f"{images:.0f} images/s")
        self._bar.total = total = trainer.stage_start + trainer.settings.steps
        if not self._bar.disable:
            self._bar.set_description(trainer.stage.name, refresh=False)
            self._bar.set_postfix_str("  ".join(told), refresh=False)
        elif time.perf_counter() - self._line_at > LINE_EVERY_SECONDS or trainer.step >= total:
            self._line_at = time.perf_counter()
            left = tqdm.format_interval((total - trainer.step) / rate)
            told += [f"{rate:.2f} steps/s", f"{left} left"]
            log.info("%s step %d/%d  %s", trainer.stage.name, trainer.step, total, "  ".join(told))

    def _forget_after(self, step: int) -> None:
        """Drop the lines of steps that will be played again."""
        path = self.folder.path / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _step_of_line(line) <= step]
            write_text(path, "".join(line + "\n" for line in kept))

    def _write_session(self, summary: Any) -> None:
        """In an event file of its own, which the next start removes: of several, TensorBoard believes the first."""
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder.path), filename_suffix=SESSION) as writer:
            writer._get_file_writer().add_summary(summary)

    def _config_text(self) -> str:
        from omegaconf import OmegaConf

        return OmegaConf.to_yaml(OmegaConf.create(self.config))


def peak_memory_gib(device: torch.device) -> float:
    """Most memory that this process has held so far: of tensors on a GPU; on a CPU, of everything."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes of ``ru_maxrss``
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _step_of_line(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # the last line of a killed run may be cut
        return float("inf")


def tag_in_tensorboard(tag: str) -> str:
    """``Metric/fid`` of ``metric/fid``: capitals sort first, and the HPARAMS tab opens with the first five tags."""
    return tag.replace("metric/", "Metric/") if tag.startswith("metric/") else tag


def charts(tags: list[str]) -> dict[str, list[Any]]:
    """Those of :data:`CHARTS` that would not be empty, as TensorBoard wants them."""
    return {
        title: ["Multiline", patterns]
        for title, patterns in CHARTS.items()
        if any(re.fullmatch(pattern, tag) for pattern in patterns for tag in tags)
    }


def loss_totals(values: dict[str, float]) -> list[str]:
    """``player 1.234`` for every player, its terms summed."""
    totals: dict[str, float] = {}
    for tag, value in values.items():
        if tag.startswith("loss/"):
            player = tag.split("/")[1]
            totals[player] = totals.get(player, 0.0) + value
    return [f"{player} {total:.3f}" for player, total in totals.items()]


def failure_summary() -> Any:
    """The summary that marks a run as failed in the HPARAMS tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    content = HParamsPluginData(
        session_end_info=SessionEndInfo(status=Status.Value("STATUS_FAILURE")), version=0
    ).SerializeToString()
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=content))
    return Summary(value=[Summary.Value(tag="_hparams_/session_end_info", metadata=metadata)])
