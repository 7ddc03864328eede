"""Runs in processes of their own: whatever becomes of one, the others go on."""

from __future__ import annotations

import importlib
import logging
import multiprocessing as mp
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from ganrun.core.cores import CORES, usable_cores
from ganrun.engine.folder import RunFolder
from ganrun.engine.signals import SIGNALS, stop_on_signals

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.5
PRELOADED = ["ganrun.config.launch", "torch._dynamo", "torch.utils.tensorboard"]
"""Imported once and not by every run: torch, what its optimizers import, and the writer of the logbook."""
LAST_WORDS = 3
"""Lines of a run's log that are given where a library ended the process."""
LONGEST_REASON = 20
"""Lines of a run's log that are given as the reason where the run itself left none."""


class Job(NamedTuple):
    """A run to be trained.

    Args:
        folder: the run folder.
        arguments: command line that trains it.
    """

    folder: Path
    arguments: list[str]


def train_all(
    jobs: Iterable[Job], parallel: int, entry: str, look: Callable[[], object], ended: Callable[[Job], object]
) -> None:
    """Train runs, each in a process of its own.

    Args:
        jobs: asked for the next one when there is room for it.
        parallel: how many at a time.
        entry: ``module:function`` that trains a run in its process, given its arguments.
        look: called between 1 and 2 times a second.
        ended: called when a run has ended, with its end recorded in its folder.

    Raises:
        KeyboardInterrupt: stopped by Ctrl-C; runs have saved what they had.
        SystemExit: stopped by SIGTERM, likewise.
    """
    context = mp.get_context("forkserver")
    _start_server(context)
    share = {CORES: str(max(1, usable_cores() // parallel))} if parallel > 1 else {}
    running: dict[BaseProcess, tuple[Job, int]] = {}

    def ask_all() -> None:
        for process in running:
            process.terminate()

    with stop_on_signals(ask_all) as stopped:

        def begin(job: Job) -> None:
            running.update(_start(context, job, entry, share))
            if stopped.signal:
                ask_all()  # it began while the others were asked; to ask twice at once is to ask once

        waiting = iter(jobs)
        try:
            while True:
                while not stopped.signal and len(running) < parallel and (job := next(waiting, None)) is not None:
                    begin(job)
                if not running:
                    break
                connection.wait([process.sentinel for process in running], LOOK_EVERY_SECONDS)
                for process in [process for process in running if not process.is_alive()]:
                    job, said = running.pop(process)
                    process.join()
                    if not stopped.signal:  # what was stopped before it could save is no failure
                        _bury(job, process.exitcode, said)
                    ended(job)
                look()
        except BaseException:
            ask_all()
            for process in running:
                process.join()
            raise
    if stopped.signal:
        stopped.raise_for_caller()


def _start_server(context: mp.context.ForkServerContext) -> None:
    """Start the process that forks runs; no signal of a whole job ends it, so that its runs can save."""
    context.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # it would unblock signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(
    context: mp.context.ForkServerContext, job: Job, entry: str, share: dict[str, str]
) -> dict[BaseProcess, tuple[Job, int]]:
    job.folder.mkdir(parents=True, exist_ok=True)
    output = _log_of(job)
    arguments = (entry, job.arguments, output, os.environ | share)
    process = context.Process(target=_run, args=arguments, name=job.folder.name)
    process.start()
    return {process: (job, output.stat().st_size if output.exists() else 0)}


def _log_of(job: Job) -> Path:
    return job.folder / "run.log"


def _run(entry: str, arguments: list[str], output: Path, environment: dict[str, str]) -> None:
    """The process of one run: what it prints goes to its log; it stops, saved, when its parent is gone."""
    os.setpgrp()  # a terminal's Ctrl-C reaches the parent only, which asks every run once
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # blocked in the server; what has come meanwhile comes now
    os.environ.clear()  # the server has that of its own beginning
    os.environ.update(environment)
    with output.open("a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    parent = mp.parent_process()
    assert parent is not None
    threading.Thread(target=_stop_without, args=(parent.sentinel,), daemon=True).start()
    module, _, function = entry.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)(arguments))


def _stop_without(sentinel: int) -> None:
    connection.wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _bury(job: Job, exitcode: int | None, said: int) -> None:
    """Record the end of a run that could not do it itself: it was killed, or never began."""
    if exitcode == 0:
        return
    lines = _lines_since(job, said)
    if exitcode is None or exitcode > 0:
        reason = "\n".join(lines[-LONGEST_REASON:]) or f"The process ended with exit code {exitcode}."
    elif -exitcode == signal.SIGKILL:
        reason = "The process was killed by SIGKILL. Where nobody did it, the machine ran out of memory."
    else:
        name = signal.Signals(-exitcode).name if -exitcode in set(signal.Signals) else f"signal {-exitcode}"
        reason = "\n".join([f"The process was ended by {name}. Its last words:", *lines[-LAST_WORDS:]])
    RunFolder(job.folder).record_failure(reason)


def _lines_since(job: Job, said: int) -> list[str]:
    """What stands in a run's log after the first ``said`` bytes."""
    try:
        with _log_of(job).open(errors="replace") as file:
            file.seek(said)
            return [line.rstrip() for line in file if line.strip()]
    except FileNotFoundError:  # it died before the log was opened
        return []
