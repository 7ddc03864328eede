"""Scores with their protocol: remembered in a file, shown in TensorBoard and as tables."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ganrun.core.errors import RunError
from ganrun.core.files import write_text
from ganrun.metrics.protocol import Column, Stamp, columns

FILE = "evaluation.json"
"""Name of the file in a run folder that remembers its scores."""


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


@dataclass(frozen=True)
class Entry:
    """Scores of one subject.

    Args:
        subject: run folder, or files of images.
        step: of the checkpoint; ``None`` for images.
        stamp: how the scores were made.
        scores: tag -> score.
        lower_is_better: tag -> whether lower scores are better; deviations have no entry.
        time: when, ISO 8601.
    """

    subject: str
    step: int | None
    stamp: Stamp
    scores: dict[str, float]
    lower_is_better: dict[str, bool]
    time: str = field(default_factory=_now)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "subject": str(Path(self.subject).absolute()),
            "step": self.step,
            "stamp": self.stamp.as_dict(),
            "scores": self.scores,
            "lower_is_better": self.lower_is_better,
            "time": self.time,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entry:
        """The entry that :meth:`as_dict` wrote."""
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**known | {"stamp": Stamp.from_dict(values["stamp"])})


def remember(entry: Entry, path: Path) -> None:
    """Add an entry to the list in ``path``; one of the same subject, step and stamp is replaced.

    Raises:
        RunError: the file holds something else, or cannot be written.
    """
    new = entry.as_dict()
    key = ("subject", "step", "stamp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            others = [old for old in read(path) if any(old[part] != new[part] for part in key)]
            lines = ",\n".join(json.dumps(each) for each in [*others, new])
            write_text(path, f"[\n{lines}\n]\n")
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror or error}). Give another file with output=PATH."
        ) from None


def read(path: Path) -> list[dict[str, Any]]:
    """What :func:`remember` wrote; nothing if there is no file.

    Raises:
        RunError: the file holds something else.
    """
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text())
        if isinstance(entries, list) and all(
            {"subject", "step", "stamp", "scores"} <= entry.keys() for entry in entries
        ):
            return entries
    except (ValueError, AttributeError):
        pass
    raise RunError(f"{path} does not hold scores that ganrun wrote. Remove it, or give another file with output=PATH.")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time change ``path``."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def show_in_tensorboard(entry: Entry, folder: Path) -> None:
    """Write scalars into the run's folder, under tags that name the stamp, so that only like scores make a curve."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), filename_suffix=".evaluation") as writer:
        group = f"evaluation_{entry.stamp.hash}"
        for tag, value in entry.scores.items():
            writer.add_scalar(f"{group}/{tag}", value, entry.step)
        writer.add_text(f"{group}/stamp", str(entry.stamp), entry.step)


def table(entries: Sequence[Entry]) -> str:
    """Scores as text: a table per stamp, headed by the stamp."""
    rows = [(_row(entry), entry.stamp, entry.scores) for entry in entries]
    return "\n".join(_one_table(part) for part in columns(rows).values())


def _row(entry: Entry) -> str:
    return entry.subject if entry.step is None else f"{entry.subject} step {entry.step}"


def _one_table(part: Sequence[Column[str]]) -> str:
    """A row per subject; a single subject with many scores gets a line for each."""
    names = list(dict.fromkeys(row for column in part for row in column.scores))
    cells = [["", *(column.header for column in part)]]
    cells += [[name, *(_cell(column, name) for column in part)] for name in names]
    if len(names) == 1:
        cells = [list(line) for line in zip(*cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]).rstrip()
        for first, *others in cells
    ]
    return "\n".join([str(part[0].stamp), *lines]) + "\n"


def _cell(column: Column[str], row: str) -> str:
    return f"{column.scores[row]:.4f}" if row in column.scores else "-"
