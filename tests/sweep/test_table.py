"""The live table: what stands in it, and what is told without a terminal."""

import fcntl
import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest
from rich.console import Console

from ganrun.core.errors import RunError
from ganrun.engine.folder import RunFolder
from ganrun.sweep import table
from ganrun.sweep.ledger import Ledger, Row
from ganrun.sweep.table import Monitor


class Sweep:
    """A made-up sweep whose runs do as they are told."""

    def __init__(self, folder, count: int, held: ExitStack) -> None:
        self.ledger = Ledger(folder)
        jobs = [[f"loss={('wgan', 'hinge')[n % 2]}", f"seed={n // 2}", "trainer.steps=1000"] for n in range(count)]
        self.rows = self.ledger.add(jobs, ["loss", "seed"])
        self.held = held
        self.locks = {}

    def run(self, number: int, step: int = 0, speed: float = 50.0, score: float | None = None) -> None:
        """Train a run up to ``step``."""
        folder = RunFolder(self.rows[number].folder)
        if number not in self.locks:
            folder.write_config({"trainer": {"steps": 1000}})
            self.locks[number] = self.held.enter_context((folder.path / ".lock").open("w"))
            fcntl.flock(self.locks[number], fcntl.LOCK_EX)
            folder.write_status("running", 0)
        values = {"step": step, "speed/steps_per_second": speed} if step else {"step": 0}
        values |= {} if score is None else {"metric/fid": score}
        with (folder.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")

    def end(self, number: int, status: str | None, reason: str = "") -> None:
        """End a run; without a status as SIGKILL does."""
        folder = RunFolder(self.rows[number].folder)
        if status is not None:
            folder.write_status(status, 1000 if status == "finished" else 0, reason)
        self.locks.pop(number).close()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time passes where the table sleeps, or as a test says."""
    clock = SimpleNamespace(now=0.0)
    pause = lambda seconds: setattr(clock, "now", clock.now + seconds)  # noqa: E731
    monkeypatch.setattr(table, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=pause))
    return clock


@pytest.fixture
def make(tmp_path):
    with ExitStack() as held:
        yield lambda count: Sweep(tmp_path / "sweep", count, held)


def drawn(monitor: Monitor, width: int, height: int = 30) -> list[str]:
    """The lines of the table."""
    console = Console(record=True, width=width, height=height, file=io.StringIO())
    console.print(monitor.table(height))
    return [line.rstrip() for line in console.export_text().splitlines()]


def five_runs(make) -> Monitor:
    sweep = make(5)
    sweep.run(0, 1000, 100.0, score=12.3456)
    sweep.end(0, "finished")
    sweep.run(1, 250, 50.0, score=40.0)
    sweep.run(2, 200, 50.0)
    sweep.end(2, "failed", "loss/discriminator/fake became nan at step 210.\nThe last good checkpoint is far away.")
    sweep.run(3, 300, 50.0)
    sweep.end(3, None)
    return Monitor(sweep.ledger)


@pytest.mark.parametrize(
    ("width", "reason"),
    [(80, "loss/discriminator/fake bec…"), (140, "loss/discriminator/fake became nan at step 210.")],
)
def test_what_stands_in_the_table(make, width, reason):
    lines = drawn(five_runs(make), width)
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("/")
    assert [line.split() for line in lines[1:7]] == [
        ["loss", "seed", "status", "step", "steps/s", "left", "fid"],
        ["wgan", "0", "finished", "1000", "12.35"],
        ["hinge", "0", "running", "250/1000", "50", "00:15", "40"],
        ["wgan", "1", "failed", "200/1000", *reason.split()],
        ["hinge", "1", "interrupted", "300/1000"],
        ["wgan", "2", "waiting"],
    ]
    # the run that trains needs 15 s; then come 14 s of the interrupted one and (10 + 20 + 20) / 3 s of the last
    summary = "1 running, 1 failed, 1 interrupted, 1 finished, 1 waiting, elapsed 00:00, about 00:45 left"
    assert " ".join(lines[7:]) == summary


def test_statuses_are_coloured_and_brackets_are_no_markup(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add([["technique=[red]"], ["technique=[r1,ema]"]], ["technique"])
    row = ledger.rows()[0]
    RunFolder(row.folder).write_status("failed", 0, "[bold]no[/bold]")
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(Monitor(ledger).table(30))
    text = console.export_text(clear=False)
    assert "[red]" in text
    assert "[r1,ema]" in text
    assert "[bold]no[/bold]" in text
    assert "\x1b[1;31mfailed" in console.export_text(styles=True)


def test_the_tag_of_the_score_stands_in_the_head_unless_there_are_several(make):
    sweep = make(2)
    sweep.run(0, 100, score=12.0)
    sweep.run(1, 100)
    with (sweep.rows[1].folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 100, "metric/modes": 25}\n')
    lines = drawn(Monitor(sweep.ledger), 100)
    assert lines[1].endswith("score")
    assert [line.split("  ")[-1] for line in lines[2:4]] == ["fid 12", "modes 25"]


def test_where_not_all_fit_those_that_train_and_those_that_failed_are_shown(make):
    sweep = make(60)
    for number in range(30):
        sweep.run(number, 1000, 100.0)
        sweep.end(number, *(("failed", "bad luck") if number == 3 else ("finished",)))
    os.utime(sweep.rows[7].folder / "status.json", (time.time() + 60,) * 2)  # the last one that finished
    for number in (40, 50):
        sweep.run(number, 100)
    lines = drawn(Monitor(sweep.ledger), 100, height=10)
    assert [line.split()[:3] for line in lines[2:6]] == [
        ["hinge", "1", "failed"],
        ["hinge", "3", "finished"],
        ["wgan", "20", "running"],
        ["wgan", "25", "running"],
    ]
    assert lines[6] == "... and 28 finished, 28 waiting"
    assert len(drawn(Monitor(sweep.ledger), 100, height=30)) < 30


def test_a_sweep_of_one_run_is_told_by_the_name_of_its_folder(make):
    sweep = make(1)
    assert drawn(Monitor(sweep.ledger), 140)[1:3] == [
        f"run{' ' * (len(sweep.rows[0].name) - 3)}  status   step  steps/s  left  score"[:140].rstrip(),
        f"{sweep.rows[0].name}  waiting",
    ]


def told(caplog) -> list[str]:
    """The lines since the last call."""
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def test_without_a_terminal_the_log_is_told(make, caplog, clock):
    caplog.set_level(logging.INFO)
    sweep = make(3)
    log_of = [f"\n  {row.folder / 'run.log'}" for row in sweep.rows]
    with Monitor(sweep.ledger) as monitor:
        assert told(caplog) == [f"{sweep.ledger.folder}: 3 waiting, elapsed 00:00"]
        sweep.run(0)
        monitor.update()
        assert told(caplog) == ["running: loss=wgan seed=0"]
        sweep.run(0, 1000, 100.0, score=12.3456)
        sweep.end(0, "finished")
        sweep.run(1)
        monitor.update()
        assert told(caplog) == ["finished: loss=wgan seed=0, step 1000, fid 12.35", "running: loss=hinge seed=0"]
        sweep.end(1, "failed", "out of memory. Lower trainer.batch_size.")
        sweep.run(2, 100)
        monitor.update()
        assert caplog.records[0].levelno == logging.ERROR
        assert told(caplog) == [
            f"failed: loss=hinge seed=0: out of memory. Lower trainer.batch_size.{log_of[1]}",
            "running: loss=wgan seed=1, step 100",
        ]
        sweep.end(2, None)
        monitor.update()
        assert told(caplog) == []  # whoever saw it happen may be about to write down why
        monitor.update()
        assert told(caplog) == [f"interrupted: loss=wgan seed=1, step 100: its process died{log_of[2]}"]
        clock.now = 75.0
        monitor.update()
        monitor.update()
        summary = "1 failed, 1 interrupted, 1 finished, elapsed 01:15"
        assert told(caplog) == [f"{summary}, about 00:18 left"]  # it has 900 of its steps to go, at 50 a second
    assert told(caplog) == [summary]  # nothing trains any more


def test_a_failure_of_before_is_not_told_and_the_same_failure_again_is(make, caplog):
    sweep = make(1)
    sweep.run(0)
    sweep.end(0, "failed", "bad luck")
    with Monitor(sweep.ledger) as monitor:
        monitor.update()
        assert "failed" not in "".join(told(caplog))
        sweep.run(0)
        sweep.end(0, "failed", "bad luck")
        monitor.update()
        monitor.update()
    assert len([line for line in told(caplog) if line.startswith("failed:")]) == 1


def test_the_ledger_is_true_after_a_change(make):
    sweep = make(1)
    with Monitor(sweep.ledger) as monitor:
        sweep.run(0)
        monitor.update()
        assert ",running," in sweep.ledger.path.read_text()
        sweep.run(0, 1000)
        sweep.end(0, "finished")
    assert ",finished,1000," in sweep.ledger.path.read_text()


@contextmanager
def terminal() -> Iterator[tuple[Console, io.StringIO]]:
    """A terminal of 100 x 20, and what was written to it."""
    screen = io.StringIO()
    yield Console(file=screen, force_terminal=True, width=100, height=20, legacy_windows=False), screen


def test_on_a_terminal_the_table_is_drawn_and_a_failure_told_once_above_it(make):
    sweep = make(2)
    with terminal() as (console, screen), Monitor(sweep.ledger, console) as monitor:
        sweep.run(0)
        sweep.run(1, 100)
        monitor.update()
        sweep.end(0, "failed", "bad luck")
        for _ in range(3):
            monitor.update()
        assert screen.getvalue().count("failed: loss=wgan: bad luck") == 1
        assert screen.getvalue().count(str(sweep.rows[0].folder / "run.log")) == 1
        assert "running: " not in screen.getvalue()
        assert "100/1000" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_log_lines_stand_above_the_table(make, monkeypatch):
    with terminal() as (console, screen):
        screen.isatty = lambda: True
        monkeypatch.setattr(sys, "stderr", screen)
        handler = logging.StreamHandler(screen)
        monkeypatch.setattr(logging.root, "handlers", [handler])
        with Monitor(make(1).ledger, console):
            logging.getLogger("somebody").warning("a word of [warning]")
            logging.getLogger("somebody").warning("in the table", extra={table.IN_TABLE: True})
            assert handler.stream is not screen
            frames = screen.getvalue()
            assert "a word of [warning]\n" in frames
            assert "in the table" not in frames
            assert frames.index("a word of") < frames.rindex("1 waiting")  # the table was drawn again below it
        assert handler.stream is screen
        assert handler.filters == []


def test_a_thread_looks_for_launchers_that_block(make, caplog, monkeypatch):
    monkeypatch.setattr(table, "POLL_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    sweep = make(1)

    def wait_for(words: str) -> None:
        deadline = time.monotonic() + 30
        while words not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def broken() -> list[Row]:
        raise RunError("no ledger any more")

    with Monitor(sweep.ledger) as monitor, monitor.watch():
        sweep.run(0)
        wait_for("running: ")
        monkeypatch.setattr(sweep.ledger, "rows", broken)
        wait_for("the sweep goes on without its table: no ledger any more")


def test_watch_ends_when_every_run_has_ended_or_nothing_trains(make, caplog, clock):
    sweep = make(2)
    sweep.run(0, 1000)
    sweep.end(0, "finished")
    table.watch(sweep.ledger.folder, patience=60)
    assert 60 < clock.now < 65
    assert told(caplog) == ["nothing trains there, and 1 runs are left; the command of the sweep goes on with them"]
    sweep.run(1, 1000)
    sweep.end(1, "finished")
    table.watch(sweep.ledger.folder, patience=None)
    assert told(caplog) == []
