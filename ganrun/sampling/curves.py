"""What truncation does to scores, as curves (Brock, Donahue & Simonyan, *BigGAN*, ICLR 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganrun.core.colours import BLUE, GREEN, VERMILION
from ganrun.sampling.pictures import Pixels, rasterise

Row = tuple[float | None, Mapping[str, float]]
"""A truncation (``None``: none) and its scores by tag."""

TRADE_OFFS = (("recall", "precision"), ("coverage", "density"), ("inception_score", "fid"))
"""Scores that are drawn against each other where both are there: variety against fidelity, or the field's habit."""

PANELS = 3  # beside each other


def draw_trade_off(rows: Sequence[Row]) -> Pixels:
    """A panel for every score over the truncation, and one for every pair of :data:`TRADE_OFFS`."""
    tags = [tag for tag in dict.fromkeys(tag for _, scores in rows for tag in scores) if "_std" not in tag]
    pairs = [(x, y) for names in TRADE_OFFS for x, y in [[_find(tags, name) for name in names]] if x and y]
    count = len(tags) + len(pairs)
    columns = min(PANELS, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(4.4 * columns, 3.8 * lines), dpi=90, layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, tag in zip(panels, tags, strict=False):
        _over_truncation(axes, rows, tag)
    for axes, (x, y) in zip(panels[len(tags) :], pairs, strict=False):
        _against_each_other(axes, rows, x, y)
    for axes in panels[count:]:
        axes.set_axis_off()
    return rasterise(figure)


def _find(tags: Sequence[str], name: str) -> str | None:
    return next((tag for tag in tags if tag == name or tag.startswith(f"{name}_")), None)


def _over_truncation(axes: Axes, rows: Sequence[Row], tag: str) -> None:
    curve = sorted((bound, scores[tag]) for bound, scores in rows if bound is not None and tag in scores)
    if curve:
        axes.plot(*zip(*curve, strict=True), "o-", color=BLUE, markersize=5, label="truncated")
    for bound, scores in rows:
        if bound is None and tag in scores:
            axes.axhline(scores[tag], color=VERMILION, linestyle=":", label="no truncation")
    axes.set(title=tag, xlabel="truncation")
    axes.grid(color="0.92")
    axes.legend(frameon=False)


def _against_each_other(axes: Axes, rows: Sequence[Row], x: str, y: str) -> None:
    ordered = sorted(rows, key=lambda row: float("inf") if row[0] is None else row[0])
    points = [(scores[x], scores[y], bound) for bound, scores in ordered if x in scores and y in scores]
    axes.plot([point[0] for point in points], [point[1] for point in points], "o-", color=GREEN, markersize=5)
    for horizontal, vertical, bound in points:
        text = "none" if bound is None else f"{bound:g}"
        axes.annotate(text, (horizontal, vertical), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(title=f"{y} against {x}", xlabel=x, ylabel=y)
    axes.grid(color="0.92")
