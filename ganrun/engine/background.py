"""Work that training need not wait for: files are written by a thread of their own, one after another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ganrun.engine import distributed

MOST_LEFT = 16
"""So many jobs may be left to do; who hands over another one waits, for each holds memory."""


class Background:
    """Does the main process's jobs in the order in which they come, while training goes on.

    A job that fails ends the work: those behind it are dropped, and its error is raised in the training thread of
    every process when the next job is handed over, or waited for. Jobs must not compute with torch: a second thread
    that does holds threads of its own, beside which every operation of the training thread takes longer.

    The thread starts with the first job (a process may be forked before), and a program that ends lets it finish.

    Attributes:
        count: jobs handed over so far.
        seconds: spent on jobs so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._worker = ThreadPoolExecutor(1, "background")
        self._left: deque[Future[None]] = deque()
        self._error: Exception | None = None

    def submit(self, job: Callable[[], object]) -> int:
        """Have ``job`` done soon, after those that came before; what it uses must not change any more.

        To be called by all processes alike, as :meth:`wait`.

        Returns:
            Its number, to wait for.

        Raises:
            Exception: what an earlier job raised.
        """
        self.wait(self.count + 1 - MOST_LEFT)
        self.count += 1
        if distributed.is_main():
            self._left.append(self._worker.submit(self._do, job))
        return self.count

    def wait(self, number: int | None = None) -> None:
        """Return when the job of that number, and all before it, have been done; without a number: all.

        Raises:
            Exception: what a job raised.
        """
        distributed.local_work(lambda: self._settle(self.count if number is None else number))

    def close(self) -> None:
        """Let all be done, and end the thread; errors are not raised, so that this can be called after one."""
        self._worker.shutdown()

    def _settle(self, number: int) -> None:
        while self._left and self.count - len(self._left) < number:
            self._left.popleft().result()
        if self._error is not None:
            raise self._error

    def _do(self, job: Callable[[], object]) -> None:
        if self._error is not None:
            return
        began = time.perf_counter()
        try:
            job()
        except Exception as error:  # raised in the training thread
            self._error = error
        self.seconds += time.perf_counter() - began
