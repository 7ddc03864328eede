"""Orthogonal regularisation: values, gradients and which weights count."""

from __future__ import annotations

import pytest
import torch
from critics import points
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganrun.losses.base import Comparison
from ganrun.losses.terms.lazy import Lazy
from ganrun.losses.terms.orthogonal import Orthogonal

W = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
OFF_DIAGONAL = torch.tensor([[0.0, 8.0, 8.0], [8.0, 16.0, 0.0]])
NOTHING = Comparison(nn.Identity(), points(), points())


def linear(weight: torch.Tensor = W) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data.copy_(weight)
    return layer


def attached(network: nn.Module, form: str = "off_diagonal", weight: float = 1.0) -> Orthogonal:
    term = Orthogonal(weight, form)
    term.attach(network)
    return term


@pytest.mark.parametrize(
    ("form", "value", "gradient"),
    [("off_diagonal", 8.0, OFF_DIAGONAL), ("full", 25.0, torch.tensor([[16.0, 40.0, 8.0], [8.0, 20.0, 4.0]]))],
)
def test_value_and_gradient(form, value, gradient):
    layer = linear()
    term = attached(layer, form)(NOTHING)
    term.backward()
    assert term.item() == value
    assert torch.equal(layer.weight.grad, gradient)
    assert layer.bias.grad is None
    assert attached(layer, form, weight=1e-4)(NOTHING).item() == pytest.approx(1e-4 * value)


def test_gradient_is_four_times_off_diagonal_gram_times_weight():
    torch.manual_seed(0)
    layer = linear(torch.randn(4, 6))
    attached(layer)(NOTHING).backward()
    gram = layer.weight @ layer.weight.T
    torch.testing.assert_close(layer.weight.grad, 4 * (gram * (1 - torch.eye(4))) @ layer.weight)


@pytest.mark.parametrize("form", ["off_diagonal", "full"])
def test_orthonormal_rows_cost_nothing(form):
    rows = torch.linalg.qr(torch.randn(5, 3, dtype=torch.float64)).Q.T
    assert attached(linear(rows).double(), form)(NOTHING).item() == pytest.approx(0.0, abs=1e-12)


def test_rows_are_output_channels_also_of_transposed_convolutions():
    ordinary, transposed = nn.Conv2d(3, 2, 1, bias=False), nn.ConvTranspose2d(3, 2, 1, bias=False)
    ordinary.weight.data.copy_(W[:, :, None, None])
    transposed.weight.data.copy_(W.T[:, :, None, None])
    assert attached(nn.ModuleList([ordinary, transposed]))(NOTHING).item() == 16.0


def test_embeddings_norms_and_biases_do_not_count():
    network = nn.Sequential(linear(), nn.Embedding(5, 4), nn.BatchNorm1d(4), nn.PReLU(3))
    assert attached(network)(NOTHING).item() == 8.0


def test_trained_weight_counts_under_spectral_normalisation():
    layer = spectral_norm(linear())
    attached(layer)(NOTHING).backward()
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, OFF_DIAGONAL)


def test_network_without_matrices_is_refused():
    with pytest.raises(ValueError, match="PReLU has no weights that could be orthogonal"):
        attached(nn.PReLU())


def test_network_is_no_part_of_the_term():
    term = Lazy(Orthogonal(1.0, "full"), 2)
    term.attach(linear())
    assert list(term.parameters()) == []
    assert term(NOTHING).item() == 50.0
