"""How far the runs of a sweep have come, how long they still need, and what tells them apart."""

from __future__ import annotations

import heapq
import json
import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from omegaconf import OmegaConf
from yaml import YAMLError

from ganrun.sweep.ledger import Row
from ganrun.sweep.naming import identity, key_of

TICKS = 20
"""The speed is the mean over as many ticks of the logbook."""


class Tick(NamedTuple):
    """A stretch of training between two lines of ``metrics.jsonl``.

    Args:
        steps: that were played.
        seconds: that they took, with pictures, scores and checkpoints.
    """

    steps: int
    seconds: float


class Progress:
    """What ``metrics.jsonl`` says of one run; only what was added since the last look is read.

    Args:
        folder: the run folder.

    Attributes:
        step: of the last line.
        seconds: of training so far, interruptions left out.
        scores: tag -> last score.
        best: tag of the metric that selects the best checkpoint; empty without one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._asked: int | None = None
        self._forget()

    def _forget(self) -> None:
        self.step = 0
        self.seconds = 0.0
        self.scores: dict[str, float] = {}
        self.best = ""
        self._ticks: deque[Tick] = deque(maxlen=TICKS)
        self._tick_step = 0
        self._file = 0
        self._offset = 0

    def look(self) -> None:
        """Take in the lines that are new; all, where the file is another one or shorter than before."""
        try:
            with (self.folder / "metrics.jsonl").open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_ino != self._file or state.st_size < self._offset:
                    self._forget()
                    self._file = state.st_ino
                file.seek(self._offset)
                lines = file.read()
        except OSError:
            return
        whole = lines.rfind(b"\n") + 1  # the last line may still be in the writing
        self._offset += whole
        for line in lines[:whole].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            self.step = int(values.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if speed := values.get("speed/steps_per_second"):
            tick = Tick(self.step - self._tick_step, (self.step - self._tick_step) / speed)
            self._tick_step = self.step
            self._ticks.append(tick)
            self.seconds += tick.seconds
        for tag, value in values.items():
            if tag.startswith("metric/best_"):
                self.best = tag.removeprefix("metric/best_")
            elif tag.startswith("metric/"):
                self.scores[tag.removeprefix("metric/")] = value

    @property
    def score(self) -> tuple[str, float] | None:
        """Tag and last value of the metric that selects the best checkpoint, or of the first metric."""
        tag = self.best if self.best in self.scores else next(iter(self.scores), "")
        return (tag, self.scores[tag]) if tag else None

    @property
    def speed(self) -> float | None:
        """Steps per second, lately; ``None`` before the first tick."""
        seconds = sum(tick.seconds for tick in self._ticks)
        return sum(tick.steps for tick in self._ticks) / seconds if seconds else None

    @property
    def steps(self) -> int | None:
        """Steps that were asked for; ``None`` where they are not known, or are those of one of several stages."""
        if self._asked is None:
            with suppress(OSError, YAMLError):
                self._asked = OmegaConf.select(OmegaConf.load(self.folder / "config.yaml"), "trainer.steps")
        return self._asked if self._asked is None or self._asked >= self.step else None

    @property
    def seconds_left(self) -> float | None:
        """Until the run has had its steps; ``None`` where nobody can tell."""
        if self.speed is None or self.steps is None:
            return None
        return (self.steps - self.step) / self.speed


def seconds_left(runs: Iterable[tuple[Row, Progress]], parallel: int) -> float | None:
    """Until the whole sweep is done, if waiting runs start in order as soon as others end.

    A run that nothing is known of is taken to need as long as the others do on average.

    Args:
        runs: of the sweep.
        parallel: how many are trained at a time.

    Returns:
        ``None`` where nothing is known yet, nothing trains, or nothing is left.
    """
    runs = list(runs)
    needs = [(row, progress.seconds, progress.seconds_left) for row, progress in runs if not row.ended]
    wholes = [done + left for _, done, left in needs if left is not None]
    wholes += [progress.seconds for row, progress in runs if row.status == "finished" and progress.seconds]
    if not parallel or not wholes or not needs:
        return None
    typical = mean(wholes)
    lefts = [(row, max(typical - done, 0.0) if left is None else left) for row, done, left in needs]
    ends = [left for row, left in lefts if row.status == "running"]
    ends += [0.0] * (parallel - len(ends))
    heapq.heapify(ends)
    for row, left in lefts:
        if row.status != "running":
            heapq.heapreplace(ends, ends[0] + left)
    return max(ends)


def differences(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What tells runs apart: key, as short as it can be told from the others -> its value in every run, or ``""``."""
    settings = [dict(_split(override) for override in identity(row.overrides)) for row in rows]
    keys = dict.fromkeys(key for values in settings for key in values)
    swept = [key for key in keys if len({values.get(key) for values in settings}) > 1]
    return {_shortest(key, swept): [values.get(key, "") for values in settings] for key in swept}


def _split(override: str) -> tuple[str, str]:
    value = override.partition("=")[2]
    try:
        number = f"{float(value):.4g}"
    except ValueError:
        return key_of(override), value.strip("'\"")
    return key_of(override), min(value, number, key=len)


def _shortest(key: str, others: Iterable[str]) -> str:
    """``lr`` of ``optimizer.generator.lr``, or ``generator.lr`` where another key ends in ``lr`` too."""
    parts = key.split(".")
    tails = (".".join(parts[start:]) for start in reversed(range(len(parts))))
    return next(t for t in tails if t == key or not any(o != key and f".{o}".endswith(f".{t}") for o in others))
