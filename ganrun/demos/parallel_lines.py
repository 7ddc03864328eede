"""Two parallel lines: which distances tell the generator where to go (``ganrun demo name=parallel_lines``).

Arjovsky, Chintala & Bottou, *Wasserstein GAN*, ICML 2017, arXiv 1701.07875, example 1. The data are (0, U), the
generator makes (θ, U), and U is uniform on [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from ganrun.core.colours import BLACK, BLUE, GREEN, ORANGE, VERMILION
from ganrun.core.types import START, DiscriminatorOutput
from ganrun.demos.base import MMGAN, NSGAN, WGAN, Demonstration, objective_of, total
from ganrun.losses.base import AdversarialLoss, Comparison, Term
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.metrics.wasserstein import matched_distance
from ganrun.sampling.pictures import Pixels, rasterise

THETAS = (-1.0, -0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
LAMBDA = 10.0
POINTS = 256
STAGES = (20, 60, 300)  # steps of the discriminator after which it is looked at
SHADES = (0.3, 0.6, 1.0)
SEED = 0


class Truth(NamedTuple):
    """Distances between the lines, in nats where they are divergences.

    Args:
        js: Jensen-Shannon divergence.
        kl: Kullback-Leibler divergence, in either direction.
        tv: total variation.
        w1: Wasserstein-1 distance.
    """

    js: float
    kl: float
    tv: float
    w1: float


def truth(theta: float) -> Truth:
    """In closed form: only W₁ depends on how far apart the lines are."""
    return Truth(math.log(2), math.inf, 1.0, abs(theta)) if theta else Truth(0.0, 0.0, 0.0, 0.0)


def line(theta: Tensor | float, count: int) -> Tensor:
    """``[count, 2]`` points (θ, U)."""
    heights = torch.rand(count)
    return torch.stack([theta * torch.ones(count), heights], dim=1)


def batch_distances(theta: float, count: int) -> tuple[float, float]:
    """W₁ of two batches with the same heights U, which is |θ|, and with independent ones, which is more."""
    real, other = line(0.0, count), line(theta, count)
    return matched_distance(real, real + torch.tensor([theta, 0.0])), matched_distance(real, other)


class Network(nn.Module):
    """Two hidden layers of 64 units.

    Shapes: ``[B, 2]`` -> scores ``[B]``.
    """

    def __init__(self) -> None:
        super().__init__()
        hidden = (nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*hidden, nn.Linear(64, 1))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """Raw scores."""
        return DiscriminatorOutput(scores=(self.layers(samples)[:, 0],))


class Look(NamedTuple):
    """A discriminator at one moment of its training, before one θ.

    Args:
        bound: what its loss on fresh points proves: a lower bound of JS (logistic loss, in nats), or of W₁ times its
            Lipschitz constant (Wasserstein loss).
        pulls: minus the gradient of each generator's loss with respect to θ.
    """

    bound: float
    pulls: tuple[float, ...]


Looks = dict[float, list[Look]]
"""θ -> a discriminator at every one of the STAGES."""


def watch(
    discriminator_loss: AdversarialLoss,
    penalty: Term | None,
    generator_losses: tuple[AdversarialLoss, ...],
    theta: float,
) -> list[Look]:
    """Train a discriminator against a generator that stays where it is, and look at it at every one of the STAGES."""
    torch.manual_seed(SEED)
    objective, discriminator = objective_of(discriminator_loss, penalty), Network()
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3, betas=(0.5, 0.9))

    def compare(fake: Tensor) -> Comparison:
        return objective.compare(discriminator, line(0.0, len(fake)), fake, None, START)

    def look() -> Look:
        terms = discriminator_loss.discriminator_terms(compare(line(theta, 4096)))
        (bound,) = discriminator_loss.certificate(total(terms)).values()
        where = torch.tensor(theta, requires_grad=True)
        losses = [total(loss.generator_terms(compare(line(where, 4096)))) for loss in generator_losses]
        return Look(bound.item(), tuple(-torch.autograd.grad(loss, where)[0].item() for loss in losses))

    looks = []
    for step in range(1, max(STAGES) + 1):
        optimizer.zero_grad()
        total(objective.discriminator_terms(compare(line(theta, POINTS)))).backward()
        optimizer.step()
        if step in STAGES:
            looks.append(look())
    return looks


def demonstrate() -> Demonstration:
    """Train a discriminator and a critic for every θ."""
    classifiers = {theta: watch(NSGAN, None, (MMGAN, NSGAN), theta) for theta in THETAS}
    penalty = GradientPenalty(LAMBDA, target=1.0, side="two", points="lines", norm_over="sample")
    critics = {theta: watch(WGAN, penalty, (WGAN,), theta) for theta in THETAS}
    matched = {theta: batch_distances(theta, POINTS) for theta in THETAS}
    rows = []
    for theta in THETAS:
        js, kl, tv, w1 = truth(theta)
        certified, estimated = classifiers[theta][-1].bound, critics[theta][-1].bound
        minimax, nonsaturating = classifiers[theta][-1].pulls
        (wasserstein,) = critics[theta][-1].pulls
        numbers = (js, kl, tv, w1, certified, *matched[theta], estimated, minimax, nonsaturating, wasserstein)
        rows.append((f"{theta:g}", *(f"{number:.3f}" for number in numbers)))
    names = ("θ", "JS", "KL", "TV", "W₁", "NSGAN: JS ≥", "batch W₁", "other heights", "WGAN-GP: W₁ ≈")
    pulls = ("pull: MMGAN", "NSGAN", "WGAN-GP")
    return Demonstration((*names, *pulls), rows, _draw(classifiers, critics, matched))


def overestimate(theta: float) -> float:
    """What the best critic under the gradient penalty gives for W₁ = |θ|: its slope is 1 + |θ|/2λ, not 1."""
    return abs(theta) * (1 + abs(theta) / (2 * LAMBDA))


def _draw(classifiers: Looks, critics: Looks, matched: dict[float, tuple[float, float]]) -> Pixels:
    figure = Figure(figsize=(13, 5.4), dpi=90, layout="constrained")
    distances, learned, pulls = figure.subplots(1, 3)
    _draw_distances(distances, matched)
    _draw_learned(learned, classifiers, critics)
    _draw_pulls(pulls, classifiers, critics)
    for axes in (distances, learned, pulls):
        axes.set_xlabel("θ, where the generator's line is")
        axes.set_xticks([-1, -0.5, 0, 0.5, 1])
        axes.grid(color="0.92")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False)
    return rasterise(figure)


def _draw_distances(axes: Axes, matched: dict[float, tuple[float, float]]) -> None:
    shared, independent = zip(*matched.values(), strict=True)
    for height, colour, name in ((1.0, GREEN, "TV = 1"), (math.log(2), VERMILION, "JS = log 2")):
        axes.plot([-1, 1], [height] * 2, color=colour, label=f"{name}, and 0 at θ = 0")
        axes.plot(0, height, "o", color="white", markeredgecolor=colour, markersize=7)
    axes.plot([-1, 0, 1], [1, 0, 1], color=BLUE, label="W₁ = |θ|")
    axes.plot(THETAS, shared, "s", color=BLUE, markersize=4, label=f"W₁ of {POINTS} points each, at the same heights")
    axes.plot(THETAS, independent, "x", color=BLACK, markersize=6, label="at other heights")
    axes.plot(0, 0, "o", color=BLACK, markersize=6)
    axes.set_title("The distances between the lines\n(KL is ∞ wherever θ is not 0)")


def _draw_learned(axes: Axes, classifiers: Looks, critics: Looks) -> None:
    for index, shade in enumerate(SHADES):
        certified = [classifiers[theta][index].bound for theta in THETAS]
        estimated = [critics[theta][index].bound for theta in THETAS]
        _curve(axes, certified, "o-", VERMILION, shade, "NSGAN proves: JS is at least")
        _curve(axes, estimated, "s-", BLUE, shade, "WGAN-GP estimates W₁")
    fine = torch.linspace(-1, 1, 201).tolist()
    axes.plot(fine, [overestimate(theta) for theta in fine], ":", color=BLACK, label="|θ| (1 + |θ|/2λ), its limit")
    axes.axhline(math.log(2), color="0.4", linestyle="--", linewidth=1, label="log 2, the limit of the NSGAN")
    axes.set_title(f"What a discriminator says\n(pale to dark: after {_steps()} steps)")


def _draw_pulls(axes: Axes, classifiers: Looks, critics: Looks) -> None:
    for index, shade in enumerate(SHADES):
        minimax, nonsaturating = zip(*(classifiers[theta][index].pulls for theta in THETAS), strict=True)
        _curve(axes, minimax, "o-", ORANGE, shade, "minimax: vanishes")
        _curve(axes, nonsaturating, "^-", VERMILION, shade, "non-saturating: explodes")
        _curve(axes, [critics[theta][index].pulls[0] for theta in THETAS], "s-", BLUE, shade, "WGAN-GP: one, towards 0")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_title(f"Minus the generator's gradient\n(pale to dark: after {_steps()} steps)")


def _curve(axes: Axes, values: Sequence[float], style: str, colour: str, shade: float, label: str) -> None:
    """Over θ; only the darkest has a place in the legend."""
    axes.plot(THETAS, values, style, color=colour, alpha=shade, markersize=4, label=label if shade == 1 else None)


def _steps() -> str:
    return ", ".join(map(str, STAGES))
