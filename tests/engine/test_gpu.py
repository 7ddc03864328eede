"""What only a CUDA device can show."""

from __future__ import annotations

import pytest
import torch
from toys import make_game, make_trainer, same

from ganrun.core.tensors import snapshot
from ganrun.engine import precision

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def state_after(steps, checkpoint=None, **changes):
    trainer = make_trainer(steps, checkpoint=checkpoint, device="cuda", **changes)
    trainer.fit(make_game())
    return trainer.state_dict()


def test_trains_and_resumes_on_cuda():
    whole = state_after(8)
    resumed = state_after(8, checkpoint=state_after(5))
    assert whole["game"]["critic.head.weight"].device.type == "cpu"
    torch.testing.assert_close(resumed["game"], whole["game"])
    assert same(resumed["position"], whole["position"])


def test_bf16_is_the_default_where_the_card_has_units():
    trainer = make_trainer(1, device="cuda", precision="auto")
    assert trainer.precision == ("bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp32")


@pytest.mark.parametrize("capture", ["never", "auto"])
def test_a_step_does_not_wait_for_the_device(capture):
    trainer = make_trainer(6, device="cuda", capture=capture)
    trainer.fit(make_game())  # lazy initialisation and recording may synchronise
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.play_step(trainer.stage.game)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("tf32", [False, True])
def test_float32_is_exact_unless_tf32_is_asked_for(monkeypatch, tf32):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this card has no TF32")
    for place in (torch.backends.cuda.matmul, torch.backends.cudnn):
        monkeypatch.setattr(place, "allow_tf32", place.allow_tf32)  # restored afterwards
    precision.set_cuda_modes(tf32)
    images, kernels = torch.randn(8, 64, 32, 32, device="cuda"), torch.randn(64, 64, 3, 3, device="cuda")
    matrix = torch.randn(512, 512, device="cuda")
    for compute, inputs in ((torch.conv2d, (images, kernels)), (torch.mm, (matrix, matrix))):
        exact = compute(*(tensor.double() for tensor in inputs))
        error = (compute(*inputs) - exact).norm() / exact.norm()
        assert (error > 2e-5) == tf32, (compute, float(error))


def test_a_snapshot_is_of_its_moment():
    weights = torch.arange(2.0**24, device="cuda")
    taken = snapshot({"weights": weights})["weights"]
    weights.zero_()
    assert taken.is_pinned()
    assert torch.equal(taken, torch.arange(2.0**24))
