"""Stopping politely: the first Ctrl-C or SIGTERM asks, the second one insists."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)


class StopRequest:
    """The signal that asked to stop; 0 while there was none."""

    signal = 0

    def raise_for_caller(self) -> None:
        """End the program as the signal would have: exit code 130 for Ctrl-C, 143 for SIGTERM."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.signal)


@contextmanager
def stop_on_signals(ask: Callable[[], None]) -> Iterator[StopRequest]:
    """Call ``ask`` at the first SIGINT or SIGTERM inside the block; quit at once at the second.

    Outside the main thread signals cannot be caught, and the block runs without them.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal:
            os.write(2, b"\nstopped at once; the last checkpoint is where the run resumes\n")
            os._exit(128 + number)
        request.signal = number
        log.warning("stopping after this step and saving; press Ctrl-C again to quit at once")
        ask()

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
