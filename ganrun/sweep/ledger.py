"""The ledger of a sweep: one row per run, in ``ledger.csv``, with what its folder says of it.

Which runs there are is written once, when they are planned. How they fare is read from their own folders, each of which
is written by the one process that trains there, so nothing is lost or corrupted whoever dies, and whoever else sweeps
into the same folder.
"""

from __future__ import annotations

import csv
import fcntl
import io
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganrun.core.errors import RunError
from ganrun.core.files import write_text
from ganrun.engine.folder import RunFolder
from ganrun.sweep.naming import digest, identity, run_name

FILE = "ledger.csv"
COLUMNS = ("run", "status", "step", "metric", "best", "reason", "overrides")


@dataclass(frozen=True)
class Row:
    """One run of a sweep.

    Args:
        folder: the run folder.
        overrides: that tell it from other runs.
        status: ``waiting``, ``running``, ``finished``, ``failed``, ``stopped`` (as asked, or by the watchdog, which
            gives a reason), ``pruned``, or ``interrupted``: its process died without a word.
        step: that was reached when the status was written.
        reason: why it failed or stopped.
        metric: name of the metric that selects the best checkpoint; empty without one.
        best: its best value.
    """

    folder: Path
    overrides: tuple[str, ...]
    status: str = "waiting"
    step: int = 0
    reason: str = ""
    metric: str = ""
    best: float | None = None

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.name

    @property
    def failed(self) -> bool:
        """Whether it failed, or was stopped by the watchdog."""
        return self.status == "failed" or (self.status == "stopped" and bool(self.reason))

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do, unless failures are retried."""
        return self.failed or self.status in ("finished", "pruned")


class Ledger:
    """The runs of the sweep in ``folder``; made when the first one is added.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE

    def add(self, jobs: Iterable[Sequence[str]], swept: Iterable[str]) -> list[Row]:
        """Plan runs; those that are planned already keep their row.

        Args:
            jobs: overrides of every run.
            swept: keys that have several values, for the names of new runs.

        Returns:
            Their rows, in their order; equal jobs have one.
        """
        swept = list(swept)
        with self._locked():
            planned = {digest(overrides): (name, overrides) for name, overrides in self._planned()}
            asked = {digest(job): job for job in jobs}
            planned |= {key: (run_name(job, swept), identity(job)) for key, job in asked.items() if key not in planned}
            rows = {key: self._row(*plan) for key, plan in planned.items()}
            self._write(rows.values())
        return [rows[key] for key in asked]

    def rows(self) -> list[Row]:
        """How every run fares now, in the order of planning."""
        return [self._row(name, overrides) for name, overrides in self._planned()]

    def row(self, row: Row) -> Row:
        """How one run fares now."""
        return self._row(row.name, row.overrides)

    def refresh(self) -> list[Row]:
        """:meth:`rows`, written to the file too."""
        with self._locked():
            rows = self.rows()
            self._write(rows)
        return rows

    def _row(self, name: str, overrides: Sequence[str]) -> Row:
        return row_of(self.folder / name, overrides)

    def _planned(self) -> list[tuple[str, list[str]]]:
        if not self.path.exists():
            return []
        try:
            lines = csv.DictReader(io.StringIO(self.path.read_text()))
            return [(line["run"], shlex.split(line["overrides"])) for line in lines]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
            raise RunError(
                f"{self.path} is no ledger of a sweep. Choose another folder with sweep.folder=PATH."
            ) from None

    def _write(self, rows: Iterable[Row]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            best = "" if row.best is None else f"{row.best:.6g}"
            writer.writerow([row.name, row.status, row.step, row.metric, best, row.reason, shlex.join(row.overrides)])
        if not self.path.exists() or self.path.read_text() != text.getvalue():
            write_text(self.path, text.getvalue())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".ledger.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def row_of(path: Path, overrides: Iterable[str]) -> Row:
    """How the run in a folder fares now.

    Args:
        path: the folder; it may be missing.
        overrides: that make the run.
    """
    folder = RunFolder(path)
    state = folder.state()
    status = state.get("status", "waiting")
    if status in ("waiting", "stopped", "running"):
        if folder.in_use():  # it has begun, though it may not have said so yet
            status = "running"
        elif status == "running":
            status = "interrupted"
    best = state.get("best", {})
    return Row(
        folder=path,
        overrides=tuple(overrides),
        status=status,
        step=state.get("step", 0),
        reason=state.get("reason", ""),
        metric=best.get("metric", ""),
        best=best.get("value"),
    )
