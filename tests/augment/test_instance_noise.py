"""Instance noise: its law, its end, and the divergence that it makes smooth."""

from __future__ import annotations

import math

import pytest
import torch

from ganrun.augment.instance_noise import InstanceNoise
from ganrun.core.schedules import constant, linear
from ganrun.core.types import START, Moment


@pytest.mark.parametrize("shape", [(2000, 2), (200, 3, 8, 8)])
def test_adds_a_normal_of_the_scheduled_deviation(shape):
    torch.manual_seed(0)
    augment = InstanceNoise(0.2, linear(0.0, 0.5, 0.0))
    samples = torch.rand(shape)
    for progress, std in ((0.0, 0.2), (0.25, 0.1), (0.4, 0.04)):
        noise = augment(samples, Moment(7, progress)) - samples
        assert noise.mean().item() == pytest.approx(0.0, abs=0.05 * std)
        assert noise.std().item() == pytest.approx(std, rel=0.05)
        assert (noise / std).pow(4).mean().item() == pytest.approx(3.0, rel=0.15)
    for progress in (0.5, 0.99):
        assert torch.equal(augment(samples, Moment(7, progress)), samples)


def test_fresh_in_every_call_and_repeated_by_a_seed():
    augment, samples = InstanceNoise(0.1, constant()), torch.zeros(4, 2)
    torch.manual_seed(0)
    first = augment(samples, START)
    assert not torch.equal(augment(samples, START), first)
    torch.manual_seed(0)
    assert torch.equal(augment(samples, START), first)


def test_gradient_passes_unchanged():
    samples = torch.zeros(4, 2, requires_grad=True)
    InstanceNoise(0.1, constant())(samples, START).sum().backward()
    assert samples.grad.eq(1).all()


@pytest.mark.parametrize(
    ("std", "divergence"), [(0.1, 0.693146317), (0.25, 0.632720194), (0.5, 0.336830820), (1.0, 0.111421482)]
)
def test_divergence_of_two_blurred_point_masses(std, divergence):
    """``JSD = log 2 - E_P log(1 + q/p)/2 - E_Q log(1 + p/q)/2`` on samples, with the densities of the normal law."""
    torch.manual_seed(0)
    augment = InstanceNoise(std, constant())
    zeros = torch.zeros(400_000, 1, dtype=torch.float64)
    p, q = augment(zeros, START), augment(zeros + 1, START)

    def log_ratio(x: torch.Tensor) -> torch.Tensor:
        return (x.square() - (x - 1).square()) / (2 * std**2)  # log q/p

    measured = math.log(2) - 0.5 * torch.nn.functional.softplus(torch.cat([log_ratio(p), -log_ratio(q)])).mean() * 2
    assert measured.item() == pytest.approx(divergence, abs=2e-3)
