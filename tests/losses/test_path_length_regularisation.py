"""Path lengths of generators whose Jacobian is known, and their running mean."""

from __future__ import annotations

import math

import pytest
import torch
import torch.distributed as dist
from critics import points
from torch import nn

from ganrun.core.types import START
from ganrun.losses.base import Comparison
from ganrun.losses.terms.path_length import PathLength


class LinearGenerator(nn.Module):
    """Images ``A w`` of 1x2 pixels in one channel, the mean over three layers' styles; ``w = z``."""

    latent_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(2, 4, dtype=torch.float64))

    def styles(self, z, condition=None):
        shift = 0 if condition is None else condition[:, None]
        return (z.double() + shift)[:, None].expand(-1, 3, -1).requires_grad_()

    def forward(self, styles, condition=None):
        return (styles.mean(1) @ self.matrix.T).view(-1, 1, 1, 2)


def made(weight: float = 2.0, decay: float = 0.75, share: int = 2) -> tuple[PathLength, LinearGenerator]:
    torch.manual_seed(0)
    term, generator = PathLength(weight, decay, share).double(), LinearGenerator()
    term.attach(generator)
    return term, generator


def comparison(count: int = 8) -> Comparison:
    return Comparison(nn.Identity(), points(count), points(count), None, START)


def known_lengths(generator: LinearGenerator, count: int) -> torch.Tensor:
    """``‖Aᵀ y‖``, a third for each of three layers, whose root mean square is taken; y as the term draws it."""
    torch.randn(count, 4)
    y = torch.randn(count, 1, 1, 2, dtype=torch.float64).flatten(1) / math.sqrt(2)
    return (y @ generator.matrix).norm(dim=1) / 3


def test_lengths_of_a_linear_generator():
    term, generator = made()
    torch.manual_seed(1)
    lengths = term.lengths(5, None, torch.device("cpu"))
    torch.manual_seed(1)
    torch.testing.assert_close(lengths, known_lengths(generator, 5))
    squares = term.lengths(40_000, None, torch.device("cpu")).square().mean().item()
    assert squares == pytest.approx(generator.matrix.square().sum().item() / 2 / 9, rel=0.05)  # E ‖Aᵀ y‖² = ‖A‖² / 2


def test_penalty_and_running_mean():
    """The mean takes in the batch first, and the penalty is about half of it."""
    term, generator = made(decay=0.75)
    mean = 0.0
    for seed in (1, 2):
        torch.manual_seed(seed)
        lengths = known_lengths(generator, 4)
        mean = 0.75 * mean + 0.25 * lengths.mean().item()
        pairs = comparison()
        torch.manual_seed(seed)
        assert term(pairs).item() == pytest.approx(2 * (lengths - mean).square().mean().item())
        assert term.mean_length.item() == pytest.approx(mean)
    assert "mean_length" in term.state_dict()
    assert not list(term.parameters())


def test_gradient_is_that_of_a_penalty_with_a_constant_mean():
    term, generator = made(weight=3.0, share=1)
    pairs = comparison(4)
    torch.manual_seed(1)
    (gradient,) = torch.autograd.grad(term(pairs), generator.matrix)
    mean = term.mean_length.clone()

    def penalty() -> float:
        torch.manual_seed(1)
        return 3 * (term.lengths(4, None, torch.device("cpu")) - mean).square().mean().item()

    for i, j in ((0, 0), (1, 2), (0, 3)):
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                generator.matrix[i, j] += step
            values.append(penalty())
            with torch.no_grad():
                generator.matrix[i, j] -= step
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient[i, j].item(), rel=1e-5, abs=1e-8)


def test_half_of_an_odd_batch_is_looked_at_with_its_labels():
    term, generator = made(share=2)
    seen = []
    plain = generator.styles
    generator.styles = lambda z, condition=None: seen.append((len(z), condition)) or plain(z, condition)
    labels = torch.tensor([2, 0, 1])
    term(Comparison(nn.Identity(), points(3), points(3), labels, START))
    ((count, condition),) = seen
    assert count == 2
    assert condition.tolist() == [2, 0]


def test_processes_share_the_mean(monkeypatch):
    """Another process brings three lengths with a sum of 9."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", lambda seen: seen.add_(torch.tensor([9.0, 3.0], dtype=seen.dtype)))
    term, _ = made(decay=0.0)
    assert term.follow(torch.tensor([1.0, 2.0], dtype=torch.float64)).item() == pytest.approx(12 / 5)


def test_a_generator_without_styles_is_refused():
    with pytest.raises(ValueError, match="of a generator with styles, and Linear has none"):
        PathLength(2.0, 0.99, 2).attach(nn.Linear(1, 1))
