"""Normal posteriors: divergence from the prior in closed form, draws through which gradients flow."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ganrun.latents.posterior import Posterior


def test_divergence_is_that_of_torch():
    torch.manual_seed(0)
    output = torch.randn(5, 12, dtype=torch.float64)
    posterior = Posterior.read(output)
    mean, deviation = output[:, :6], (output[:, 6:] / 2).exp()
    expected = kl_divergence(Normal(mean, deviation), Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    torch.testing.assert_close(posterior.divergence(), expected)


@pytest.mark.parametrize(
    ("mean", "variance", "nats"), [(0.0, 1.0, 0.0), (2.0, 1.0, 2.0), (0.0, math.e, (math.e - 2) / 2)]
)
def test_divergence_by_hand(mean, variance, nats):
    posterior = Posterior(torch.full((1, 3), mean), torch.full((1, 3), math.log(variance)))
    assert posterior.divergence().item() == pytest.approx(3 * nats)


def test_draws_have_its_moments_and_gradients():
    torch.manual_seed(0)
    mean = torch.tensor([[1.5]], dtype=torch.float64, requires_grad=True)
    log_variance = torch.tensor([[math.log(0.25)]], dtype=torch.float64, requires_grad=True)
    z = Posterior(mean.expand(40_000, 1), log_variance.expand(40_000, 1)).draw()
    assert z.mean().item() == pytest.approx(1.5, abs=0.01)
    assert z.std().item() == pytest.approx(0.5, abs=0.01)
    z.square().mean().backward()  # E z² = mean² + variance
    assert mean.grad.item() == pytest.approx(3.0, abs=0.03)
    assert log_variance.grad.item() == pytest.approx(0.25, abs=0.02)
