"""What run folders say of their runs: how they were made, how they fare, what they scored and what they cost."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganrun.core.errors import RunError
from ganrun.engine import scores
from ganrun.engine.folder import RunFolder
from ganrun.engine.scores import Entry
from ganrun.sweep.ledger import FILE as LEDGER
from ganrun.sweep.ledger import Ledger, Row, row_of
from ganrun.sweep.naming import identity, key_of

log = logging.getLogger(__name__)

SPEED, MEMORY = "speed/steps_per_second", "speed/peak_memory_gib"
SCALARS = re.compile(rf'"(step|{SPEED}|{MEMORY})": ([^,}}]+)')
"""What is read of ``metrics.jsonl``: five times as fast as parsing whole lines, of which a sweep has a million."""


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        folder: the run folder; it may be missing where the run never began.
        name: shortest end of the folder's path that tells it from the other runs.
        status: of :class:`ganrun.sweep.ledger.Row`.
        reason: why it failed or stopped.
        step: that it has reached.
        settings: key -> value of what was typed to make it, where that tells runs apart; without the seed.
        seed: of everything random; ``None`` where the run never began and none was typed.
        scores: what was measured, during training and after it, at which step and how.
        best: tag of the metric that selects the best checkpoint; empty without one.
        seconds: of training, scores and pictures included, over all its sessions.
        peak_memory_gib: most memory that it held, or ``None``.
        pictures: that were drawn of it, by name.
    """

    folder: Path
    name: str
    status: str
    reason: str
    step: int
    settings: dict[str, str]
    seed: int | None
    scores: tuple[Entry, ...]
    best: str
    seconds: float
    peak_memory_gib: float | None
    pictures: tuple[Path, ...]


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """All runs in and below some folders.

    Args:
        paths: folders of runs or sweeps, or with such anywhere below them.

    Raises:
        RunError: a path leads to no run.
    """
    rows: dict[Path, Row] = {}
    for path in paths:
        found = {row.folder.resolve(): row for row in _rows_below(path)}
        if not found:
            raise RunError(f"{path} holds no run, nor does any folder below it. Name that of a run or of a sweep.")
        rows |= found
    names = _short_names([row.folder for row in rows.values()])
    return [_read(row, name) for row, name in zip(rows.values(), names, strict=True)]


def _rows_below(path: Path) -> Iterator[Row]:
    """Runs of a sweep in the order of its ledger, others by name."""
    for name, folders, files in os.walk(path):
        folder = Path(name)
        if LEDGER in files:
            yield from Ledger(folder).rows()
            folders.clear()
        elif "status.json" in files:
            yield _row(folder)
            folders.clear()
        folders.sort()


def _row(folder: Path) -> Row:
    """A run that was not reached through its sweep."""
    if (folder.parent / LEDGER).exists():
        for row in Ledger(folder.parent).rows():
            if row.name == folder.name:
                return row
    return row_of(folder, RunFolder(folder).environment().get("overrides", []))


def _short_names(folders: Sequence[Path]) -> list[str]:
    """Ends of paths, as short as tells all of them apart."""
    parts = [folder.resolve().parts for folder in folders]
    longest = max((len(each) for each in parts), default=0)
    length = next(n for n in range(1, longest + 2) if len({each[-n:] for each in parts}) == len(parts))
    return ["/".join(each[-length:]) for each in parts]


def _read(row: Row, name: str) -> Run:
    step, seconds, memory = _ticks(row.folder / "metrics.jsonl")
    typed = {key_of(override): override.partition("=")[2] or "removed" for override in identity(row.overrides)}
    seed = typed.pop("seed", None)
    return Run(
        folder=row.folder,
        name=name,
        status=row.status,
        reason=row.reason,
        step=max(row.step, step),
        settings=typed,
        seed=_seed(row.folder / "config.yaml", seed),
        scores=tuple(_scores(row.folder / scores.FILE)),
        best=row.metric,
        seconds=seconds,
        peak_memory_gib=memory,
        pictures=tuple(sorted((row.folder / "samples").glob("*.png"))),
    )


def _ticks(path: Path) -> tuple[int, float, float | None]:
    """Last step, seconds and peak memory, from the ticks of all sessions; the last line of a killed run may be cut."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return 0, 0.0, None
    step, done, seconds, memory = 0, 0, 0.0, []
    for tag, value in SCALARS.findall(text[: text.rfind("\n") + 1]):
        if tag == "step":
            step = int(value)
        elif tag == SPEED:
            seconds += (step - done) / float(value)  # steps lost with a session that was killed were played again
            done = step
        else:
            memory.append(float(value))
    return done, seconds, max(memory, default=None)


def _seed(config: Path, typed: str | None) -> int | None:
    """The seed, from a line of the configuration: parsing hundreds of these would take long."""
    if config.exists() and (found := re.search(r"^seed: (\d+)$", config.read_text(), re.MULTILINE)):
        return int(found[1])
    return int(typed) if typed is not None and typed.isdecimal() else None


def _scores(path: Path) -> Iterator[Entry]:
    """What was measured; a damaged file does not keep the other runs from being compared."""
    try:
        for entry in scores.read(path):
            yield Entry.from_dict(entry)
    except RunError as error:
        log.warning("%s", error)
    except (KeyError, TypeError):
        log.warning("%s was written by another version of ganrun, so its scores are left out", path)
