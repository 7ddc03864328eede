"""Soft and flipped labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating

REAL = torch.tensor([1.2, -0.4, 0.3], dtype=torch.float64)


def test_hard_labels_are_the_plain_formulas_bit_for_bit():
    loss = NonSaturating(1.0, 0.0, 0.0)
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        score = (20 * torch.randn(1000, dtype=dtype)).requires_grad_()
        for formula, plain in ((loss.discriminator_real, softplus(-score)), (loss.discriminator_fake, softplus(score))):
            assert torch.equal(formula(score), plain)
            gradients = (torch.autograd.grad(value.sum(), score)[0] for value in (formula(score), plain))
            assert torch.equal(*gradients)


def test_soft_labels_are_cross_entropy():
    loss = Minimax(0.8, 0.15, 0.0)
    for formula, target in ((loss.discriminator_real, 0.8), (loss.discriminator_fake, 0.15)):
        expected = binary_cross_entropy_with_logits(REAL, torch.full_like(REAL, target), reduction="none")
        assert torch.allclose(formula(REAL), expected, atol=1e-14)


def test_flips_equal_soft_labels_on_average():
    torch.manual_seed(0)
    value = NonSaturating(1.0, 0.0, 0.05).discriminator_real(REAL.repeat(300_000)).mean().item()
    assert value == pytest.approx(0.595217654736, abs=2e-3)
    assert NonSaturating(0.95, 0.05, 0.0).discriminator_real(REAL).mean().item() == pytest.approx(0.595217654736)


def test_a_flipped_sample_has_exactly_the_label_of_the_other_side():
    torch.manual_seed(0)
    loss = NonSaturating(0.9, 0.1, 0.25)
    score = torch.full((4000,), 1.7, dtype=torch.float64)
    for formula in (loss.discriminator_real, loss.discriminator_fake):
        values, counts = formula(score).unique(return_counts=True)
        expected = sorted(
            binary_cross_entropy_with_logits(score[0], torch.tensor(target, dtype=torch.float64)).item()
            for target in (0.9, 0.1)
        )
        assert values.tolist() == pytest.approx(expected, abs=1e-12)
        assert 800 < counts.min() < 1200


def test_all_patches_of_a_sample_are_flipped_together():
    torch.manual_seed(0)
    values = NonSaturating(1.0, 0.0, 0.4).discriminator_real(torch.ones(64, 1, 3, 3)).flatten(1)
    assert (values == values[:, :1]).all()
    assert len(values[:, 0].unique()) == 2


def test_flips_are_the_discriminators_alone_and_draw_nothing_when_off():
    state = torch.get_rng_state()
    NonSaturating(1.0, 0.0, 0.4).generator_fake(REAL)
    NonSaturating(0.9, 0.1, 0.0).discriminator_real(REAL)
    assert torch.equal(state, torch.get_rng_state())


def test_labels_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="real_target must be above fake_target"):
        NonSaturating(0.1, 0.9, 0.0)


def test_the_threshold_is_the_optimal_score_of_equal_densities():
    assert NonSaturating(1.0, 0.0, 0.0).threshold == 0.0
    assert NonSaturating(0.9, 0.0, 0.0).threshold == pytest.approx(math.log(0.45 / 0.55))
