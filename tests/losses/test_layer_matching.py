import pytest
import torch
from torch import nn

from ganrun.core.errors import RunError
from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.terms.layer_matching import LayerMatching


class TwoScales(nn.Module):
    """Two scales of two layers: the samples, twice them, their half and a constant."""

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(samples, samples), features=(samples, 2 * samples, samples / 2, samples * 0))


def test_sum_over_layers_and_mean_over_scales():
    real, fake = torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[2.0, 2.0], [0.0, 1.0]], requires_grad=True)
    value = LayerMatching(10.0)(Comparison(TwoScales(), real, fake))
    assert value.item() == pytest.approx(10 * (1 + 2 + 0.5) * 1.0 / 2)  # mean |fake - real| is (1 + 3) / 4
    value.backward()
    assert torch.equal(fake.grad, 10 * 3.5 / 2 * torch.tensor([[0.25, 0.0], [0.0, -0.25]]))


def test_samples_are_compared_one_by_one():
    real = torch.tensor([[1.0], [-1.0]])
    assert LayerMatching(1.0)(Comparison(TwoScales(), real, real.flip(0))).item() > 0
    assert LayerMatching(1.0)(Comparison(TwoScales(), real, real.clone())).item() == 0


def test_the_reals_are_constants():
    real = torch.ones(1, 2, requires_grad=True)
    value = LayerMatching(1.0)(Comparison(TwoScales(), real, torch.zeros(1, 2, requires_grad=True)))
    (gradient,) = torch.autograd.grad(value, real, allow_unused=True)
    assert gradient is None or not gradient.any()  # one pass serves reals and fakes, and then it is 0


def test_a_discriminator_without_features():
    class Mute(nn.Module):
        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(samples,))

    with pytest.raises(RunError, match="Mute hands out no features"):
        LayerMatching(1.0)(Comparison(Mute(), torch.zeros(1, 2), torch.zeros(1, 2)))
