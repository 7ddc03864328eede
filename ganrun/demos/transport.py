"""The Wasserstein distance as a linear program, and its dual: the best critic (``ganrun demo name=transport``).

Kantorovich & Rubinstein 1958; Arjovsky, Chintala & Bottou, *Wasserstein GAN*, ICML 2017, arXiv 1701.07875, equations 1
and 2. Mass p on a line is moved to q at a cost of mass times distance.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from ganrun.core.colours import BLUE, GREEN, VERMILION
from ganrun.demos.base import Demonstration
from ganrun.metrics.wasserstein import Transport, transport
from ganrun.sampling.pictures import Pixels, rasterise

Masses = NDArray[np.float64]


def demonstrate() -> Demonstration:
    """Solve the program for three heaps of mass that are to become two, and compare with the formulas for a line."""
    places = np.linspace(0, 1, 41)
    p = _heaps(places, (0.1, 0.5, 0.65), (0.3, 0.4, 0.3))
    q = _heaps(places, (0.3, 0.9), (0.6, 0.4))
    costs = abs(places[:, None] - places)
    found = transport(costs, p, q)
    slack = costs - found.sources[:, None] - found.targets
    rows: list[tuple[str, ...]] = [
        ("primal: cost of the plan", f"{found.cost:.6f}"),
        ("dual: Σ f p + Σ g q", f"{found.sources @ p + found.targets @ q:.6f}"),
        ("∫ |F_p − F_q|", f"{abs(np.cumsum(p - q))[:-1] @ np.diff(places):.6f}"),
        ("scipy.stats.wasserstein_distance", f"{wasserstein_distance(places, places, p, q):.6f}"),
        ("least c − f − g anywhere", f"{abs(slack.min()):.6f}"),
        ("largest c − f − g where mass moves", f"{abs(slack[found.plan > 1e-9]).max():.6f}"),
        ("largest slope of f", f"{abs(np.diff(found.sources) / np.diff(places)).max():.6f}"),
    ]
    return Demonstration(("", "value"), rows, _draw(places, p, q, found))


def _heaps(places: Masses, centres: tuple[float, ...], weights: tuple[float, ...]) -> Masses:
    """Masses of Gaussian heaps of width 0.05."""
    heaps = np.exp(-0.5 * ((places[:, None] - np.array(centres)) / 0.05) ** 2)
    mixed: Masses = (heaps / heaps.sum(0)) @ np.array(weights)
    return mixed


def _draw(places: Masses, p: Masses, q: Masses, found: Transport) -> Pixels:
    figure = Figure(figsize=(13, 4.8), dpi=90, layout="constrained")
    masses, plan, critic = figure.subplots(1, 3)
    width = 0.45 * (places[1] - places[0])
    masses.bar(places - width / 2, p, width, color=BLUE, label="p, what there is")
    masses.bar(places + width / 2, q, width, color=VERMILION, label="q, what there shall be")
    masses.set(title="Mass on a line", xlabel="place")
    edges = (places[0], places[-1]) * 2
    shown = plan.imshow(found.plan, origin="lower", extent=edges, cmap="cividis")
    figure.colorbar(shown, ax=plan, label="mass", shrink=0.8)
    plan.plot(edges[:2], edges[:2], color="0.6", linestyle=":", label="where mass would stay")
    plan.set(title=f"The plan that costs least: W₁ = {found.cost:.3f}", xlabel="to", ylabel="from")
    critic.plot(places, found.sources, color=GREEN, label="f, the best critic")
    critic.plot(places, -found.targets, ":", color="black", label="−g")
    critic.plot(places, np.cumsum(q - p), color="0.6", label="F_q − F_p: f rises where it is above 0")
    critic.set(title="The dual: a critic of slope at most 1", xlabel="place")
    critic.grid(color="0.92")
    for axes in (masses, plan, critic):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    return rasterise(figure)
