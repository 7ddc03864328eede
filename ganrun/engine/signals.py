"""Stopping politely: the first Ctrl-C or SIGTERM asks, the second one insists."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Ctrl-C; the end of a cluster's time limit; a warning of it, as asked for with ``sbatch --signal`` or by submitit."""
ONE_REQUEST_SECONDS = 1.0
"""Signals this close together are one request: a cluster asks every process of a job, and so does its parent."""


class StopRequest:
    """The signal that asked to stop; 0 while there was none."""

    signal = 0
    time = 0.0

    def raise_for_caller(self) -> None:
        """End the program as the signal would have: exit code 130 for Ctrl-C, 143 for SIGTERM.

        To be called after the block of :func:`stop_on_signals`. Who listened to a warning before the block hears it
        now: submitit has the job queued again.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal != signal.SIGTERM and callable(signal.getsignal(self.signal)):
            signal.raise_signal(self.signal)
        raise SystemExit(128 + self.signal)


@contextmanager
def stop_on_signals(ask: Callable[[], None]) -> Iterator[StopRequest]:
    """Call ``ask`` at the first of :data:`SIGNALS` inside the block; quit at once at the second.

    Outside the main thread signals cannot be caught, and the block runs without them.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal and time.monotonic() < request.time + ONE_REQUEST_SECONDS:
            return
        if request.signal:
            os.write(2, b"\nstopped at once; the last checkpoint is where the run resumes\n")
            os._exit(128 + number)
        request.signal, request.time = number, time.monotonic()
        log.warning("stopping after this step and saving; press Ctrl-C again to quit at once")
        ask()

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
