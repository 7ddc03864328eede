"""What the generator's side makes of real scores that are its doing: the encoder's loss of a BiGAN."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.fgan import FGAN
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.wasserstein import Wasserstein

SCORES = torch.tensor([-2.0, -0.3, 0.0, 0.7, 5.0])


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (Minimax(1.0, 0.0, 0.0), lambda r: -softplus(-r)),
        (Minimax(0.9, 0.0, 0.0), lambda r: -softplus(-r)),  # smoothed targets are the discriminator's
        (NonSaturating(1.0, 0.0, 0.0), softplus),
        (LeastSquares(0.0, 1.0, 1.0), lambda r: r**2 / 2),
        (LeastSquares(-1.0, 1.0, 0.0), lambda r: r**2 / 2),
        (Wasserstein(), lambda r: r),
        (Hinge(), lambda r: r),
        (FGAN("kl", 0.5, 0.5, "saturating", "conjugate", 1.0), lambda r: r),  # T = v, without the clamp
        (FGAN("reverse_kl", 0.5, 0.5, "saturating", "conjugate", None), lambda r: -torch.exp(-r)),
    ],
)
def test_formulas(loss, formula):
    torch.testing.assert_close(loss.generator_real(SCORES), formula(SCORES))


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, samples, condition=None):
        self.passes += 1
        return DiscriminatorOutput(scores=(samples.sum(1),))


@pytest.mark.parametrize("carried", [False, True])
def test_only_reals_with_a_graph_are_the_generators_concern(carried):
    discriminator = Sum()
    real, fake = torch.randn(3, 2, requires_grad=carried), torch.randn(3, 2, requires_grad=True)
    terms = Objective(NonSaturating(1.0, 0.0, 0.0), None, {}, {}, 1, None, {}).generator_terms(
        Comparison(discriminator, real, fake)
    )
    assert set(terms) == ({"adversarial", "encoder"} if carried else {"adversarial"})
    assert discriminator.passes == 1  # both share one
    torch.stack(list(terms.values())).sum().backward()
    if carried:
        torch.testing.assert_close(real.grad, torch.sigmoid(real.detach().sum(1))[:, None].expand(3, 2) / 3)


def test_losses_of_pairs_reach_both_sides_anyway():
    real, fake = torch.randn(3, 2, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    objective = Objective(RelativisticPairs("paired"), None, {}, {}, 1, None, {})
    terms = objective.generator_terms(Comparison(Sum(), real, fake))
    assert set(terms) == {"adversarial"}
    terms["adversarial"].backward()
    torch.testing.assert_close(real.grad, -fake.grad)
