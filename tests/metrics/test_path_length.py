"""Perceptual path length where the answer is known, and the real LPIPS network on random weights."""

from __future__ import annotations

import math

import pytest
import torch

from ganrun.core.types import LatentSpace
from ganrun.metrics import path_length
from ganrun.metrics.base import Samples, Unavailable
from ganrun.metrics.path_length import PathLength, lpips, trimmed

METRIC = PathLength(ways=64, epsilon=1e-3, discard=0.0, resize=16, batch_size=24)


def squared_distance(here, there):
    return (here - there).double().flatten(1).square().sum(1)


def samples_of(space):
    return Samples(torch.empty(0), None, None, lambda: pytest.fail("needs no real data"), None, space)


def as_images(z):
    return z[:, None, None, :].double()


@pytest.fixture
def known_distance(monkeypatch):
    monkeypatch.setattr(path_length, "lpips", lambda resize: squared_distance)


def test_straight_ways_have_the_length_of_the_difference(known_distance):
    """d(t) = 3 (z₂ - z₁) t, so every way has squared speed 9 ‖z₂ - z₁‖², wherever the step is taken."""
    ends = [torch.zeros(24, 4), torch.full((24, 4), 2.0)]

    def draw(count):
        ends.reverse()
        return ends[0][:count]

    score = METRIC.evaluate(samples_of(LatentSpace(draw, lambda z: 3 * as_images(z), "linear")))
    assert score.mean == pytest.approx(9 * 16, rel=1e-3)
    assert score.std == pytest.approx(0, abs=0.5)


def test_arcs_have_the_length_of_their_angle(known_distance):
    """On the unit circle the speed is the angle between the ends, π/2 here."""
    ends = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])]

    def draw(count):
        ends.reverse()
        return ends[0].expand(count, -1)

    score = METRIC.evaluate(samples_of(LatentSpace(draw, as_images, "spherical")))
    assert score.mean == pytest.approx((math.pi / 2) ** 2, rel=1e-3)


def test_the_shortest_and_longest_ways_are_left_out():
    lengths = torch.cat([torch.ones(98), torch.tensor([1e6, -1e6])]).double()
    assert trimmed(lengths, 0.01).mean == 1.0
    assert trimmed(lengths, 0.0).mean == pytest.approx(0.98)


def test_needs_latents_and_weights(monkeypatch, tmp_path):
    with pytest.raises(Unavailable, match="no latents"):
        METRIC.evaluate(samples_of(None))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(Unavailable, match=r"Put weights-vgg16-lpips.pth and vgg16-397923af.pth into"):
        lpips(16)


def test_the_real_network_on_random_weights(monkeypatch, tmp_path):
    """Distances are 0 between equal images, symmetric, and grow with the difference; grey images are accepted."""
    from torch_fidelity import sample_similarity_lpips
    from torchvision.models import vgg

    class Shell:
        features = vgg.make_layers(vgg.cfgs["D"])

    torch.manual_seed(0)
    weights = {f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate((64, 128, 256, 512, 512))}
    monkeypatch.setattr(sample_similarity_lpips, "torchvision_load_pretrained_vgg16", Shell)
    monkeypatch.setattr(sample_similarity_lpips, "load_state_dict_from_url", lambda *a, **k: weights)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for name in path_length.WEIGHTS:
        (tmp_path / "checkpoints" / name).touch()
    distance = lpips(32)
    images = torch.rand(3, 1, 16, 16) * 2 - 1
    near, far = (images + strength * torch.randn_like(images) for strength in (0.01, 0.5))
    assert distance(images, images).tolist() == [0.0] * 3
    assert torch.equal(distance(images, far), distance(far, images))
    assert (distance(images, near) < distance(images, far)).all()
