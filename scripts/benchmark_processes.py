"""A process for every loop, and turns among them: no loop influences another's memory, threads or workers."""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from benchmark_loops import Loop
from torch.utils._python_dispatch import TorchDispatchMode

Maker = Callable[[bool], Loop]
"""Makes a loop; given true, one that is neither captured nor compiled, whose operations can be counted."""


@dataclass
class Measured:
    """What is known of a loop.

    Args:
        rates: steps per second in every turn.
        peak_bytes: memory of its process alone: on a GPU what torch held of it, otherwise what was resident.
        flops: floating-point operations of matrix products and convolutions in a step; 0 where they cannot be counted.
    """

    rates: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    flops: int = 0

    @property
    def rate(self) -> float:
        """Median of the turns."""
        return statistics.median(self.rates)

    def ratio(self, other: Measured) -> float:
        """How many times as fast as another, turn by turn."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.rates, other.rates, strict=True))


class Player:
    """A loop in a process of its own, which plays when it is told to and waits otherwise.

    Args:
        label: shown when it fails.
        make: of the loop.
    """

    def __init__(self, label: str, make: Maker) -> None:
        context = multiprocessing.get_context("spawn")
        self.label = label
        self.folder = tempfile.TemporaryDirectory()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, make, self.folder.name))
        self.process.start()
        theirs.close()

    def play(self, steps: int) -> float:
        """Seconds that ``steps`` steps take."""
        self.connection.send(steps)
        seconds: float = self.connection.recv()
        return seconds

    def steps_within(self, seconds: float) -> int:
        """Warm up, and find how many steps fit; at least one."""
        self.play(1)
        duration = self.play(1)
        for steps in (10, 10):  # a CUDA graph is captured in one of the first
            if steps * duration < seconds:
                duration = self.play(steps) / steps
        return max(1, round(seconds / duration))

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.join(30)
        self.process.kill()
        self.process.join()
        self.folder.cleanup()


def serve(connection: Connection, make: Maker, folder: str) -> None:
    """In ``folder``, play what the other end asks for: a number of steps, or 0 to report memory and operations."""
    os.chdir(folder)
    try:
        play = make(False)
        connection.send("ready")
        while steps := connection.recv():
            connection.send(duration(play, steps))
        connection.send((peak_memory(), flops(lambda: make(True))))
        connection.recv()
    except EOFError:  # nobody asks any more
        pass


def in_turns(makers: dict[str, Maker], seconds: float, repeats: int, limit: float) -> dict[str, Measured]:
    """Measure loops in turns, so that whatever else the machine does hits all of them.

    Args:
        makers: label -> what makes the loop.
        seconds: that a turn of a loop is to take; a turn is at least one step.
        repeats: turns of every loop ...
        limit: ... or fewer, at least three, where they would take more seconds than this.
    """
    with ExitStack() as stack:
        players = {}
        for label, make in makers.items():
            players[label] = Player(label, make)
            stack.callback(players[label].close)
        say(f"starting {', '.join(players)}")
        steps: dict[str, int] = {}
        attempt(players, lambda player: player.connection.recv())
        attempt(players, lambda player: steps.update({player.label: player.steps_within(seconds)}))
        measured = {label: Measured() for label in players}
        begin = time.perf_counter()
        for turn in range(repeats):
            order = list(players)
            for label in order[turn % len(order) :] + order[: turn % len(order)]:  # nobody is always the first
                time.sleep(0.2)  # workers of the one before come to rest
                attempt({label: players[label]}, lambda player: rate(player, steps, measured), players)
            spent = time.perf_counter() - begin
            each = spent / (turn + 1)
            enough = turn + 1 >= min(3, repeats) and spent + each > limit
            left = 0.0 if enough else min((repeats - turn - 1) * each, max(limit - spent, (2 - turn) * each))
            told = ", ".join(f"{label} {measured[label].rates[-1]:.3g}" for label in players)
            say(f"turn {turn + 1} of at most {repeats}: {told} steps/s; about {left / 60:.1f} minutes left")
            if enough:
                break
        attempt(players, lambda player: report(player, measured))
        return {label: measured[label] for label in players}


def attempt(
    chosen: dict[str, Player], act: Callable[[Player], object], players: dict[str, Player] | None = None
) -> None:
    """Do something with players; those whose process has died are taken out, and the others go on."""
    for label, player in list(chosen.items()):
        try:
            act(player)
        except (EOFError, ConnectionError):
            say(f"{label} failed, see above; the others go on")
            del (chosen if players is None else players)[label]


def rate(player: Player, steps: dict[str, int], measured: dict[str, Measured]) -> None:
    """One turn."""
    count = steps[player.label]
    measured[player.label].rates.append(count / player.play(count))


def report(player: Player, measured: dict[str, Measured]) -> None:
    """Memory and operations."""
    player.connection.send(0)
    measured[player.label].peak_bytes, measured[player.label].flops = player.connection.recv()


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def duration(play: Loop, steps: int) -> float:
    """Seconds that some steps take, to the last kernel."""
    wait_for_device()
    begin = time.perf_counter()
    play(steps)
    wait_for_device()
    return time.perf_counter() - begin


def wait_for_device() -> None:
    """Let the GPU finish what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> int:
    """Most bytes that this process ever held: of the GPU, by torch, if there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    status = Path("/proc/self/status")
    if status.exists():  # of this program: what getrusage tells begins with what its parent held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def flops(make: Callable[[], Loop]) -> int:
    """Operations of one step of a loop, or 0 with the reason on the screen."""
    try:
        play = make()
        with Counter() as counter:
            play(1)
    except Exception:  # times and memory are worth having without
        traceback.print_exc()
        return 0
    return counter.total


class Counter(TorchDispatchMode):
    """Counts as ``FlopCounterMode`` does, whose watch over modules does not bear gradients of inputs.

    Attributes:
        total: operations so far.
    """

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # takes memory, which has been measured by now

        super().__init__()
        self.total = 0
        self.formulas = flop_registry

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and count."""
        result = func(*args, **(kwargs or {}))
        if formula := self.formulas.get(func.overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def peak_flops(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of a large matrix product or convolution: the most that this machine does, by torch."""
    side, batch = (8192, 256) if device.type == "cuda" else (2048, 64)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in "ab")
    images = torch.randn(batch, 256, 32, 32, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    kernels = torch.randn(256, 256, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(a, b)

    def convolve(times: int) -> None:
        for _ in range(times):
            torch.conv2d(images, kernels, padding=1)

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    operations = {multiply: 2 * side**3, convolve: 2 * images.numel() * kernels[0].numel()}
    best = max(count / min(duration(work, 4) / 4 for _ in range(6)) for work, count in operations.items())
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    return best
