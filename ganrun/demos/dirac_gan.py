"""The Dirac-GAN: two numbers play a GAN, and most GANs circle (``ganrun demo name=dirac_gan``).

Mescheder, Geiger & Nowozin, *Which Training Methods for GANs do actually Converge?*, ICML 2018, arXiv 1801.04406,
section 2. The data are a point at 0, the generator makes a point at θ, and the discriminator is D(x) = ψx. Differs from
the paper: D is high for real points, as everywhere in ganrun, so ψ is minus the paper's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from ganrun.core.colours import BLACK, BLUE, VERMILION
from ganrun.core.types import START, DiscriminatorOutput, Terms
from ganrun.demos.base import MMGAN, NSGAN, WGAN, Demonstration, objective_of, total
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.r1 import R1
from ganrun.sampling.pictures import Pixels, rasterise

BEGIN = (1.0, -1.0)  # θ, ψ
RATE = 0.1
STEPS = 500
GAMMA = 0.3  # of R1
LAMBDA = 0.25  # of the gradient penalty
CLIP = 1.0
EDGE = 2.2  # of the picture


class Slope(nn.Module):
    """``D(x) = ψx`` with a ψ for every sample: a batch is as many games side by side.

    Args:
        psi: ``[N]``.

    Shapes: ``[N, 1]`` -> scores ``[N]``.
    """

    couples_samples = True  # each position of a batch has its ψ: real and fake points are judged in separate passes

    def __init__(self, psi: Tensor) -> None:
        super().__init__()
        self.psi = psi

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Scores of one sample per game."""
        return DiscriminatorOutput(scores=(self.psi * samples[:, 0],))


class Variant(NamedTuple):
    """A way to play.

    Args:
        name: shown above its panel.
        objective: what both minimise.
        clip: ψ is clamped to [-clip, clip] after each of its moves.
    """

    name: str
    objective: Objective
    clip: float = math.inf


def variants() -> list[Variant]:
    """What the picture compares: no penalty above, a remedy below."""
    r1 = R1(GAMMA)
    penalty = GradientPenalty(LAMBDA, target=1.0, side="two", points="lines", norm_over="sample")
    return [
        Variant("MMGAN", objective_of(MMGAN, None)),
        Variant("NSGAN", objective_of(NSGAN, None)),
        Variant("WGAN", objective_of(WGAN, None)),
        Variant(f"WGAN, clipped to ±{CLIP:g}", objective_of(WGAN, None), clip=CLIP),
        Variant(f"MMGAN + R1, γ = {GAMMA}", objective_of(MMGAN, r1)),
        Variant(f"NSGAN + R1, γ = {GAMMA}", objective_of(NSGAN, r1)),
        Variant(f"WGAN + R1, γ = {GAMMA}", objective_of(WGAN, r1)),
        Variant(f"WGAN-GP, λ = {LAMBDA}", objective_of(WGAN, penalty)),
    ]


def generator_rate(objective: Objective, theta: Tensor, psi: Tensor) -> Tensor:
    """Minus the gradient of what the generator minimises, ``[N]``, in N games (θ, ψ), ``[N]`` each."""
    theta = theta.clone().requires_grad_()
    return _descent(objective.generator_terms(_compare(objective, theta, psi)), theta)


def discriminator_rate(objective: Objective, theta: Tensor, psi: Tensor) -> Tensor:
    """Minus the gradient of what the discriminator minimises, ``[N]``."""
    psi = psi.clone().requires_grad_()
    return _descent(objective.discriminator_terms(_compare(objective, theta, psi)), psi)


def _compare(objective: Objective, theta: Tensor, psi: Tensor) -> Comparison:
    return objective.compare(Slope(psi), torch.zeros(len(theta), 1, dtype=theta.dtype), theta[:, None], None, START)


def _descent(terms: Terms, variable: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(total(terms), variable)
    return -len(variable) * gradient  # losses are means over the games


def trajectory(variant: Variant, alternating: bool, steps: int, rate: float, begin: tuple[float, float]) -> Tensor:
    """``[steps + 1, 2]``: (θ, ψ) under gradient descent of both; ``alternating``: ψ moves first, θ sees the new ψ."""
    theta, psi = torch.tensor(begin, dtype=torch.float64)[:, None]
    path = [torch.cat([theta, psi])]
    for _ in range(steps):
        moved = psi + rate * discriminator_rate(variant.objective, theta, psi)
        moved = moved.clamp(-variant.clip, variant.clip)
        theta = theta + rate * generator_rate(variant.objective, theta, moved if alternating else psi)
        psi = moved
        path.append(torch.cat([theta, psi]))
    return torch.stack(path)


def eigenvalues(objective: Objective) -> list[complex] | None:
    """Of the field's Jacobian at the equilibrium (0, 0); the flow converges when their real parts are negative.

    Returns:
        Two numbers, those with the larger real and imaginary part first; ``None`` where the field has a kink there.
    """
    near, nearer = _jacobian(objective, 1e-4), _jacobian(objective, 1e-5)
    if not torch.allclose(near, nearer, atol=1e-6):
        return None
    found: list[complex] = torch.linalg.eigvals(nearer).tolist()
    return sorted(found, key=lambda value: (round(value.real, 6), value.imag), reverse=True)


def _jacobian(objective: Objective, distance: float) -> Tensor:
    """``[2, 2]``, by central differences."""
    steps = distance * torch.eye(2, dtype=torch.float64)
    theta, psi = torch.cat([steps, -steps]).unbind(1)
    rates = torch.stack([generator_rate(objective, theta, psi), discriminator_rate(objective, theta, psi)], dim=1)
    return (rates[:2] - rates[2:]).T / (2 * distance)


def demonstrate() -> Demonstration:
    """Play all variants, simultaneously and alternating."""
    compared = variants()
    paths = [
        (trajectory(variant, False, STEPS, RATE, BEGIN), trajectory(variant, True, STEPS, RATE, BEGIN))
        for variant in compared
    ]
    rows = [
        (variant.name, _in_words(eigenvalues(variant.objective)), *(f"{path[-1].norm():.4g}" for path in pair))
        for variant, pair in zip(compared, paths, strict=True)
    ]
    distances = [f"distance after {STEPS} {kind} steps" for kind in ("simultaneous", "alternating")]
    return Demonstration(("", "eigenvalues at (0, 0)", *distances), rows, _draw(compared, paths))


def _in_words(values: list[complex] | None) -> str:
    """``-0.15 ± 0.48i``."""
    if values is None:
        return "none, a kink"
    first, second = values
    if abs(first.imag) < 1e-6:
        return f"{first.real:.2f}, {second.real:.2f}"
    return f"{first.real:.2f} ± {first.imag:.2f}i" if abs(first.real) > 1e-6 else f"±{first.imag:.2f}i"


def _draw(compared: list[Variant], paths: list[tuple[Tensor, Tensor]]) -> Pixels:
    figure = Figure(figsize=(13, 8), dpi=90, layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True)
    for axes, variant, pair in zip(panels.flat, compared, paths, strict=True):
        _draw_field(axes, variant)
        for path, colour, label in zip(pair, (VERMILION, BLUE), ("simultaneous", "alternating"), strict=True):
            theta, psi = path.T.numpy()
            axes.plot(theta, psi, color=colour, linewidth=1, label=f"{label} gradient steps of {RATE}")
            axes.plot(theta[-1], psi[-1], "o", color=colour, markersize=5)
        axes.plot(*BEGIN, "o", color=BLACK, markersize=5, label="begin")
        axes.plot(0, 0, "+", color=BLACK, markersize=12, markeredgewidth=2, label="equilibrium")
        axes.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), aspect="equal")
        axes.label_outer(remove_inner_ticks=True)
        axes.set_title(f"{variant.name}\neigenvalues {_in_words(eigenvalues(variant.objective))}", fontsize=11)
    for axes in panels[1]:
        axes.set_xlabel("θ, where the generator puts its point")
    for axes in panels[:, 0]:
        axes.set_ylabel("ψ, the discriminator's slope")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return rasterise(figure)


def _draw_field(axes: Axes, variant: Variant) -> None:
    axis = torch.linspace(-EDGE, EDGE, 18, dtype=torch.float64)
    places = torch.cartesian_prod(axis, axis)
    theta, psi = places[places[:, 1].abs() <= variant.clip].T
    objective = variant.objective
    rates = torch.stack([generator_rate(objective, theta, psi), discriminator_rate(objective, theta, psi)])
    axes.quiver(theta, psi, *(rates / rates.norm(dim=0)), color="0.72", width=0.005, scale=26)
    if variant.clip < EDGE:
        axes.fill_between((-EDGE, EDGE), variant.clip, EDGE, color="0.93", linewidth=0)
        axes.fill_between((-EDGE, EDGE), -EDGE, -variant.clip, color="0.93", linewidth=0)
