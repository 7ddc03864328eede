"""Several processes with identical weights: broadcast once, average gradients at every move.

``DistributedDataParallel`` is not used: a game calls its networks several times per update and needs double
backward, and two forward passes followed by two backward passes under that wrapper give wrong gradients silently.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes the run folder."""
    return rank() == 0


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the processes described by the environment variables of ``torchrun`` (or of :func:`free_address`)."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def free_address() -> dict[str, str]:
    """Environment variables of a meeting point on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}


def broadcast(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    if world_size() > 1:
        for tensor in [*module.parameters(), *module.buffers()]:
            dist.broadcast(tensor.data, src=0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over processes, in one collective call.

    A parameter without a gradient must be without one in every process.
    """
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])


def gather(value: Any) -> list[Any]:
    """``value`` of every process, in the order of ranks, on every process."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def any_process(flag: bool) -> bool:
    """Whether ``flag`` is set in any process."""
    if world_size() == 1:
        return flag
    value: Tensor = torch.tensor(int(flag))  # on the CPU: asking a GPU would wait for it
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return bool(value.item())


def local_work(function: Callable[[], Any]) -> Any:
    """Run ``function`` on the main process while the others wait; everyone gets its result, or its error."""
    if world_size() == 1:
        return function()
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = function()
        except Exception as error:  # handed to every process, where it is raised again
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def local_work_first(function: Callable[[], Any]) -> Any:
    """Run ``function`` on the main process, then on the others, which find its results cached.

    An error of the main process is raised everywhere.
    """
    results: list[Any] = []
    local_work(lambda: results.append(function()))
    return results[0] if is_main() else function()
