"""A stand-in for CUDA graphs on a CPU: records the kernels of a step and runs them again, to the letter.

As with a CUDA graph, numbers from the host are those of the recording, Python is not run again, random numbers come
from the default generator, and results appear in the tensors of the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves

Result = TypeVar("Result")


class Tape(TorchDispatchMode):
    """Kernels in the order of their launch.

    What the recording changes is put back at its end: to record is not to play.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[tuple[Any, Any, Any, Any]] = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self.generator = torch.get_rng_state()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in ("_local_scalar_dense", "nonzero"), f"{func} waits for the device"
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.made and storage.data_ptr() not in self.before:
                    self.before[storage.data_ptr()] = storage, storage.clone()
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and not _is_alias(func, args):
                self.made.add(tensor.untyped_storage().data_ptr())
        self.kernels.append((func, args, kwargs or {}, result))
        return result

    def rewind(self) -> None:
        """Undo what recording did."""
        for storage, value in self.before.values():
            storage.copy_(value)
        torch.set_rng_state(self.generator)

    @torch.no_grad()
    def replay(self) -> None:
        """Run every kernel again."""
        for func, args, kwargs, recorded in self.kernels:
            result = func(*args, **kwargs)
            if _is_alias(func, args):
                continue
            for place, value in zip(tree_flatten(recorded)[0], tree_flatten(result)[0], strict=True):
                if isinstance(place, Tensor):
                    place.copy_(value)


def _is_alias(func: Any, args: Any) -> bool:
    """Whether results are (parts of) arguments."""
    return any(returned.alias_info is not None for returned in func._schema.returns)


class Tapes:
    """In place of :class:`ganrun.engine.capture.CudaGraphs`."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.replays = 0

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do ``work``."""
        return work()

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record ``work`` without doing it."""
        tape = Tape()
        try:
            with tape:
                result = work()
        finally:
            tape.rewind()
        self.tapes.append(tape)

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay, result
