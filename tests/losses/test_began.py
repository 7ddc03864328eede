"""The balance of BEGAN, on made-up energies (arXiv 1703.10717, equations of section 3.4)."""

import pytest
import torch
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses import diagnostics
from ganrun.losses.base import Comparison
from ganrun.losses.began import BoundaryEquilibrium
from ganrun.losses.objective import Objective


class Energy(nn.Module):
    """The energy of a sample is its only number."""

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(-samples[:, 0],))


def compare(real, fake):
    return Comparison(Energy(), torch.tensor(real)[:, None], torch.tensor(fake)[:, None])


def test_two_moves_by_hand():
    loss = BoundaryEquilibrium(gamma=0.5, k_rate=0.1)
    first = loss.discriminator_terms(compare([1.0, 3.0], [0.2, 0.8]))  # L(x) = 2, L(y) = 0.5
    assert first["real"].item() == pytest.approx(2.0)
    assert first["fake"].item() == 0.0  # k starts at 0
    assert loss.k.item() == pytest.approx(0.1 * (0.5 * 2 - 0.5))
    assert loss.convergence.item() == pytest.approx(2 + 0.5)
    second = loss.discriminator_terms(compare([2.0, 2.0], [3.0, 3.0]))
    assert second["fake"].item() == pytest.approx(-0.05 * 3)  # by the k of before
    assert loss.k.item() == 0.0  # 0.05 + 0.1 (1 - 3), cut off
    assert loss.convergence.item() == pytest.approx(2 + 2)
    assert loss.generator_terms(compare([2.0], [3.0, 5.0]))["adversarial"].item() == pytest.approx(4.0)


@pytest.mark.parametrize(("real", "fake", "end"), [(4.0, 0.0, 1.0), (0.0, 4.0, 0.0), (2.0, 1.0, 0.3)])
def test_the_balance_stays_within_its_bounds(real, fake, end):
    loss = BoundaryEquilibrium(gamma=0.5, k_rate=0.1)
    loss.k.fill_(0.3)
    for _ in range(10):
        loss.balance(torch.tensor(real), torch.tensor(fake))
    assert loss.k.item() == pytest.approx(end)  # where L(y) = γ L(x), it rests


def test_a_move_is_differentiated_with_the_k_it_was_made_with():
    loss = BoundaryEquilibrium(gamma=1.0, k_rate=0.5)
    loss.k.fill_(0.25)
    fake = torch.tensor([[1.0], [3.0]], requires_grad=True)
    terms = loss.discriminator_terms(Comparison(Energy(), torch.tensor([[9.0], [9.0]]), fake))
    assert loss.k.item() == 1.0
    torch.stack(list(terms.values())).sum().backward()
    torch.testing.assert_close(fake.grad, torch.full((2, 1), -0.25 / 2))


def test_checkpoints_and_logs_know_it():
    loss = BoundaryEquilibrium(gamma=0.5, k_rate=0.1)
    assert set(loss.state_dict()) == {"k", "convergence"}
    objective = Objective(loss, None, {}, {}, 1, None, {})
    comparison = compare([1.0, 3.0], [0.2, 0.8])
    values = diagnostics.of_discriminator(objective, comparison, objective.discriminator_terms(comparison))
    assert values["began/k"].item() == pytest.approx(0.05)
    assert values["began/convergence"].item() == pytest.approx(2.5)
    objective.discriminator_terms(comparison)
    assert values["began/k"].item() == pytest.approx(0.05)  # what is logged is not the buffer that moves on
