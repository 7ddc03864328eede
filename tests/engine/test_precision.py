"""Which precision is chosen, and what a process is told about CUDA."""

from __future__ import annotations

import pytest
import torch
from toys import make_game

from ganrun.engine import precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("units", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_where_there_are_units_for_it(monkeypatch, units, chosen):
    monkeypatch.setattr(precision, "has_bf16_units", lambda device: units)
    assert precision.resolve_precision("auto", CPU) == chosen
    assert [precision.resolve_precision(wish, CPU) for wish in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_tf32_is_for_cuda():
    assert precision.resolve_precision("tf32", CUDA) == "tf32"
    assert precision.resolve_precision("tf32", CPU) == "fp32"


@pytest.fixture
def cuda_modes():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    yield lambda: (matmul.allow_tf32, cudnn.allow_tf32)
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


@pytest.mark.parametrize(("wish", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_used_only_where_it_is_asked_for(cuda_modes, wish, allowed):
    """Matrix products and convolutions are under one rule; torch's own default lets convolutions use it."""
    precision.prepare(make_game(), CPU, wish)
    assert cuda_modes() == (allowed, allowed)
