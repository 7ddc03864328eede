"""Networks as graphs that other programs run: torch.export and ONNX."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ganrun.core.errors import RunError

Inputs = dict[str, Tensor]
"""Name in an ONNX file -> input, in the order in which the network takes them."""


def save_program(network: nn.Module, inputs: Inputs, path: Path) -> Callable[..., Tensor]:
    """Write what ``torch.export`` makes of a network, for any number of samples.

    Args:
        network: on the CPU, in evaluation mode.
        inputs: of two samples or more.
        path: the file, ending in ``.pt2``.

    Returns:
        What was written, read back.
    """
    torch.export.save(_program(network, inputs), path)
    with _quiet():
        read: Callable[..., Tensor] = torch.export.load(path).module()
    return read


def save_onnx(network: nn.Module, inputs: Inputs, path: Path) -> Callable[..., Tensor]:
    """Write a network as ONNX, weights included, for any number of samples.

    Args:
        network: on the CPU, in evaluation mode.
        inputs: of two samples or more.
        path: the file.

    Returns:
        What was written, read back and run by onnxruntime.

    Raises:
        RunError: a package is missing.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]:
        raise RunError(f"format=onnx needs {', '.join(missing)}. Install with: pip install 'ganrun[onnx]'")
    import onnxruntime

    names = list(inputs)
    with _quiet():
        made = torch.onnx.export(
            _program(network, inputs), dynamo=True, input_names=names, output_names=["samples"], verbose=False
        )
        assert made is not None
        made.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def read(*inputs: Tensor) -> Tensor:
        fed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, fed)[0])

    return read


def _program(network: nn.Module, inputs: Inputs) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch")
    with torch.no_grad(), _quiet():
        return torch.export.export(network, tuple(inputs.values()), dynamic_shapes=tuple({0: batch} for _ in inputs))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters of torch tell how they go about it."""
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)
