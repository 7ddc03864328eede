"""The live table of a sweep: on a terminal it is redrawn in place, elsewhere it becomes lines of the log.

Everything in it comes from the run folders, so it is the same for every launcher, and for ``ganrun watch``.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from ganrun.core.errors import GanrunError, RunError
from ganrun.sweep.ledger import Ledger, Row
from ganrun.sweep.progress import Progress, differences, seconds_left

log = logging.getLogger(__name__)

COLOURS = {
    "running": "cyan",
    "failed": "bold red",
    "interrupted": "red",
    "stopped": "yellow",
    "pruned": "yellow",
    "finished": "green",
    "waiting": "dim",
}
"""Status -> style; where there is not room for all runs, the first ones matter most."""

POLL_SECONDS = 1.0
SUMMARY_SECONDS = 60.0
PARALLEL_LOOKS = 60
"""As many runs train at a time as the most that were seen in this many looks: between two runs there are fewer."""

AROUND = 6
"""Lines of the table that are no runs, and one for the prompt."""

UNTOLD = ("waiting", 0)

IN_TABLE = "in_table"
"""Attribute of log records that the terminal shows otherwise; a sweep's log file has them too."""


class Monitor:
    """Follows the runs of a sweep and shows how they fare, inside a ``with`` block.

    Args:
        ledger: of the sweep.
        console: where the table is drawn; ``None``: on standard error if that is a terminal, else nowhere, and the
            log is told instead.
    """

    def __init__(self, ledger: Ledger, console: Console | None = None) -> None:
        self.ledger = ledger
        self.console = console or _terminal()
        self.rows: list[Row] = []
        self._differences: dict[str, list[str]] = {}
        self._live: Live | None = None
        self._progress: dict[str, Progress] = {}
        self._told: dict[str, tuple[str, int]] = {}
        self._parallel: deque[int] = deque(maxlen=PARALLEL_LOOKS)
        self._begun = self._summed_up = time.monotonic()
        self._open = ExitStack()
        self._look()

    def __enter__(self) -> Monitor:
        """Begin to show how things stand; only what happens from now on is told."""
        self._told = {row.name: _signature(row) for row in self.rows}
        if self.console is None:
            log.info("%s: %s", self.ledger.folder, self.summary())
        else:
            table = self.table(self.console.height)
            seen = sys.stdout.isatty()  # a pipe keeps what is printed to it
            self._live = Live(table, console=self.console, auto_refresh=False, redirect_stdout=seen)
            self._open.enter_context(self._live)
            self._open.enter_context(_log_above_table())
        return self

    def __exit__(self, *error: object) -> None:
        """Show how it ended."""
        self._parallel.clear()  # from here on only what still trains counts
        with self._open, suppress(GanrunError, OSError):
            for _ in range(2):  # that a process died is told at the second look
                self.update()
            if self._live is None:
                log.info("%s", self.summary())

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Have a thread call :meth:`update` every second inside the block, for launchers that block."""
        leaving = threading.Event()

        def keep_updating() -> None:
            try:
                while not leaving.wait(POLL_SECONDS):
                    self.update()
            except (GanrunError, OSError) as error:
                log.warning("the sweep goes on without its table: %s", error)

        thread = threading.Thread(target=keep_updating, daemon=True)
        thread.start()
        try:
            yield
        finally:
            leaving.set()
            thread.join()

    def update(self) -> list[Row]:
        """Look into the folders, tell what has happened, and draw the table anew.

        Returns:
            The rows as they are now.
        """
        before = {row.name: row.status for row in self.rows}
        self._look()
        changed = False
        for row, label in zip(self.rows, self._labels(), strict=True):
            if row.status == "interrupted" != before.get(row.name):
                continue  # who saw its process die may be about to write down why
            signature = _signature(row)
            if signature != self._told.get(row.name, UNTOLD):
                self._told[row.name] = signature
                self._tell(row, label)
                changed = True
        if changed:
            with suppress(OSError):  # the ledger's columns are for the reader; what counts is in the folders
                self.ledger.refresh()
        if self._live is not None:
            self._live.update(self.table(self._live.console.height), refresh=True)
        elif time.monotonic() - self._summed_up > SUMMARY_SECONDS:
            self._summed_up = time.monotonic()
            log.info("%s", self.summary())
        return self.rows

    def _look(self) -> None:
        rows = self.ledger.rows()
        if len(rows) != len(self.rows):  # runs are added to a ledger, never changed
            self._differences = differences(rows)
        self.rows = rows
        for row in self.rows:
            self._progress.setdefault(row.name, Progress(row.folder)).look()
        self._parallel.append(sum(row.status == "running" for row in self.rows))

    def _labels(self) -> list[str]:
        """What tells each run from the others."""
        pairs = [[f"{key}={value}" for value in values] for key, values in self._differences.items()]
        labels = (" ".join(pair for pair in run if not pair.endswith("=")) for run in zip(*pairs, strict=True))
        return list(labels) if pairs else [row.name for row in self.rows]

    def _tell(self, row: Row, label: str) -> None:
        """Say that the status of a run has changed."""
        if row.status == "waiting":
            return
        progress = self._progress[row.name]
        bad = row.failed or row.status == "interrupted"
        text = f"{row.status}: {label}"
        if step := max(row.step, progress.step):
            text += f", step {step}"
        if row.status == "finished" and progress.score:
            text += ", " + _score(progress.score)
        if reason := row.reason or ("its process died" if row.status == "interrupted" else ""):
            text += f": {reason}"
        if bad:
            text += f"\n  {row.folder / 'run.log'}"
        log.log(logging.ERROR if bad else logging.INFO, "%s", text, extra={IN_TABLE: True})
        if bad and self._live is not None:
            self._live.console.print(Text(text, style=COLOURS[row.status]), soft_wrap=True)

    def summary(self) -> str:
        """Counts by status, the time that has passed and, once it can be told, the time that is left."""
        words = [_counts(self.rows) or "no runs", f"elapsed {tqdm.format_interval(time.monotonic() - self._begun)}"]
        left = seconds_left([(row, self._progress[row.name]) for row in self.rows], max(self._parallel))
        if left is not None:
            words.append(f"about {tqdm.format_interval(left)} left")
        return ", ".join(words)

    def table(self, height: int) -> RenderableType:
        """The folder, the runs and the summary, in at most ``height`` lines."""
        shown = self._most_telling(max(height - AROUND, 3))
        hidden = [row for number, row in enumerate(self.rows) if number not in shown]
        scores = [self._progress[row.name].score for row in self.rows]
        tags = {score[0] for score in scores if score}
        columns = self._differences or {"run": [row.name for row in self.rows]}
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for key in columns:
            table.add_column(key, max_width=28)
        table.add_column("status", no_wrap=True)
        for name in ("step", "steps/s", "left"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column(*tags if len(tags) == 1 else ["score"], ratio=1)
        for number in shown:
            row = self.rows[number]
            run = [Text(values[number], no_wrap=True, overflow="ellipsis") for values in columns.values()]
            table.add_row(
                *run, *self._cells(row, with_tag=len(tags) > 1), style="dim" if row.status == "waiting" else ""
            )
        lines: list[RenderableType] = [Text(str(self.ledger.folder), "bold", no_wrap=True, overflow="ellipsis"), table]
        if hidden:
            lines.append(Text(f"... and {_counts(hidden)}", "dim"))
        return Group(*lines, Text(self.summary()))

    def _cells(self, row: Row, with_tag: bool) -> list[Text]:
        """Status, steps, speed, time left and score of a run, or why it failed."""
        progress = self._progress[row.name]
        step = max(row.step, progress.step)
        running = row.status == "running"
        steps = str(step) if row.status == "finished" or not progress.steps else f"{step}/{progress.steps}"
        left = progress.seconds_left if running else None
        last = Text(row.reason.partition("\n")[0], COLOURS[row.status])
        if not row.reason and progress.score:
            last = Text(_score(progress.score) if with_tag else f"{progress.score[1]:.4g}")
        last.no_wrap, last.overflow = True, "ellipsis"
        return [
            Text(row.status, COLOURS[row.status]),
            Text(steps if step or running else ""),
            Text(_speed(progress.speed) if running and progress.speed else ""),
            Text("" if left is None else tqdm.format_interval(left)),
            last,
        ]

    def _most_telling(self, count: int) -> list[int]:
        """Numbers of the runs that are shown: those that train, those that failed, then what changed last."""

        def rank(number: int) -> tuple[int, int, int]:
            status, changed = _signature(self.rows[number])
            return list(COLOURS).index(status), -changed, number

        return sorted(sorted(range(len(self.rows)), key=rank)[:count])


def watch(folder: Path, patience: float | None) -> None:
    """Show a sweep that runs elsewhere, until all its runs have ended, or nothing trains any more.

    Args:
        folder: of the sweep.
        patience: seconds without a run that trains, after which nothing more is expected; ``None``: wait for ever.

    Raises:
        RunError: there is no sweep in ``folder``.
    """
    ledger = Ledger(folder)
    if not ledger.path.exists():
        raise RunError(f"{folder} holds no sweep. Give folder=PATH the folder of one.")
    with Monitor(ledger) as monitor:
        trained = time.monotonic()
        while not all(row.ended for row in monitor.update()):
            if any(row.status == "running" for row in monitor.rows):
                trained = time.monotonic()
            elif patience is not None and time.monotonic() - trained > patience:
                break
            time.sleep(POLL_SECONDS)
    if left := sum(not row.ended for row in monitor.rows):
        log.warning("nothing trains there, and %d runs are left; the command of the sweep goes on with them", left)


def _terminal() -> Console | None:
    """Standard error, if a table can be redrawn there."""
    console = Console(stderr=True)
    return console if sys.stderr.isatty() and not console.is_dumb_terminal else None


@contextmanager
def _log_above_table() -> Iterator[None]:
    """Let log lines for the terminal, but for what the table shows, pass through rich's stand-in for standard error."""

    def is_news(record: logging.LogRecord) -> bool:
        return not hasattr(record, IN_TABLE)

    writing = [each for each in logging.root.handlers if isinstance(each, logging.StreamHandler)]
    handlers = [each for each in writing if each.stream and each.stream.isatty()]  # a closed file has no stream
    streams = [handler.setStream(sys.stderr) for handler in handlers]
    for handler in handlers:
        handler.addFilter(is_news)
    try:
        yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            handler.removeFilter(is_news)
            handler.setStream(stream)


def _signature(row: Row) -> tuple[str, int]:
    """Changes when the run comes into another state, or ends in the same one again; with the time of its end."""
    try:
        ended = 0 if row.status in ("waiting", "running") else (row.folder / "status.json").stat().st_mtime_ns
    except OSError:
        ended = 0
    return row.status, ended


def _counts(rows: Iterable[Row]) -> str:
    counts = Counter(row.status for row in rows)
    return ", ".join(f"{counts[status]} {status}" for status in COLOURS if counts[status])


def _score(score: tuple[str, float]) -> str:
    return f"{score[0]} {score[1]:.4g}"


def _speed(speed: float) -> str:
    return f"{speed:.3g}" if speed < 100 else f"{speed:.0f}"
