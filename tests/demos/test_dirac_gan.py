"""Oracles of the Dirac-GAN. They are in the paper's sign: its ψ is minus ganrun's."""

from __future__ import annotations

import math

import pytest
import torch

from ganrun.demos import dirac_gan
from ganrun.demos.base import MMGAN, NSGAN, WGAN, objective_of
from ganrun.demos.dirac_gan import BEGIN, Variant, discriminator_rate, eigenvalues, generator_rate, trajectory
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.r1 import R1


def test_field_in_closed_form():
    """θ' = -ψ h'(ψθ) and ψ' = θ h'(ψθ) - γψ with h'(t) = 1 / (1 + exp(t)), the paper's ψ."""
    theta, psi = torch.randn(2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.sigmoid(-psi * theta)
    game = objective_of(MMGAN, R1(0.7))
    assert torch.allclose(generator_rate(game, theta, -psi), -psi * slope)
    assert torch.allclose(-discriminator_rate(game, theta, -psi), theta * slope - 0.7 * psi)
    assert torch.allclose(generator_rate(objective_of(NSGAN, None), theta, -psi), -psi * torch.sigmoid(psi * theta))


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [
        (0.0, (0.5j, -0.5j)),
        (0.5, (-0.25 + 0.433012701892j, -0.25 - 0.433012701892j)),
        (1.0, (-0.5, -0.5)),
        (2.0, (-0.133974596216, -1.86602540378)),
    ],
)
def test_eigenvalues_of_the_flow(gamma, expected):
    for loss in (MMGAN, NSGAN):  # the same near the equilibrium
        assert eigenvalues(objective_of(loss, R1(gamma))) == pytest.approx(expected, abs=1e-4)


def test_eigenvalues_of_wgan():
    assert eigenvalues(objective_of(WGAN, None)) == pytest.approx([1j, -1j], abs=1e-8)
    assert eigenvalues(objective_of(WGAN, R1(0.3))) == pytest.approx(
        [-0.15 + 1j * math.sqrt(1 - 0.15**2), -0.15 - 1j * math.sqrt(1 - 0.15**2)], abs=1e-6
    )
    assert eigenvalues(objective_of(WGAN, GradientPenalty(0.25, 1.0, "two", "lines", "sample"))) is None


@pytest.mark.parametrize(
    ("gamma", "alternating", "radius"), [(0.0, False, 1.00498756211), (0.0, True, 1.0), (1.0, False, 0.9)]
)
def test_spectral_radius_of_one_step(gamma, alternating, radius):
    game, near = Variant("", objective_of(MMGAN, R1(gamma))), 1e-6
    columns = [trajectory(game, alternating, 1, 0.2, begin)[-1] / near for begin in ((near, 0.0), (0.0, near))]
    moduli = torch.linalg.eigvals(torch.stack(columns, dim=1)).abs()
    assert moduli.max() == pytest.approx(radius, abs=1e-4)
    if alternating:
        assert moduli.min() == pytest.approx(radius, abs=1e-4)


@pytest.mark.parametrize(
    ("loss", "gamma", "theta", "psi"),
    [
        (MMGAN, 0.0, 2.23595688008, 0.281271353297),
        (MMGAN, 0.3, 0.000722948973435, -0.000568297647354),
        (NSGAN, 0.0, 0.412704661633, 0.318164666842),
        (NSGAN, 0.3, 0.000861217200583, 7.07749196685e-05),
        (WGAN, 0.0, 15.9595071414, 5.90251443611),
        (WGAN, 0.3, 0.00755281609551, 0.00487180686983),
        (WGAN, 1.0, -2.74284193792e-11, 3.87489655667e-11),
    ],
)
def test_five_hundred_simultaneous_steps(loss, gamma, theta, psi):
    end = trajectory(Variant("", objective_of(loss, R1(gamma))), False, 500, 0.1, (1.0, -1.0))[-1]
    assert end.tolist() == pytest.approx([theta, -psi], rel=1e-8)


def test_clipping_and_the_gradient_penalty_go_on_circling():
    for variant in dirac_gan.variants():
        if "clipped" in variant.name or "GP" in variant.name:
            path = trajectory(variant, True, 300, 0.1, BEGIN)
            assert path[100:].norm(dim=1).min() > 0.8
            assert path[100:].norm(dim=1).max() < 2
            assert path[1:, 1].abs().max() <= variant.clip


def test_demonstration(monkeypatch):
    monkeypatch.setattr(dirac_gan, "STEPS", 3)
    shown = dirac_gan.demonstrate()
    assert len(shown.rows) == 8
    assert {len(row) for row in shown.rows} == {len(shown.header)}
    assert shown.rows[0][:2] == ("MMGAN", "±0.50i")
    assert "-0.15 ± 0.48i" in shown.rows[4]
    assert shown.picture.shape[2] == 3
    assert shown.picture.std() > 10
