"""Figures of a report: functions from plain data to figures, which all use the same colour for the same setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ganrun.core.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILION

Curve = Sequence[tuple[int, float]]
"""Steps and values."""

LEADERS = 6
"""So many of the best settings have a colour of their own; the others are grey."""

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, BLACK, ORANGE)
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "0.6"
LONGEST_LABEL = 56
WIDE = 30.0
"""Positive scores whose largest is more than this many times the smallest get a logarithmic axis."""

MOST_TICKS = 8
NOT_TYPED = "default"


@dataclass(frozen=True)
class Candidate:
    """A setting, as figures show it.

    Args:
        label: what tells it from the others, in words.
        values: key -> value, as typed; a key that was not typed is missing.
        curves: of the metric, one per seed.
        scores: the last ones, one per seed; empty where no run has any.
        interval: of their mean, where there are enough seeds.
        seconds: per run, or ``None``.
        memory_gib: the most that a run held, or ``None``.
        picture: drawn last by the run of one seed, or ``None``.
    """

    label: str
    values: Mapping[str, str]
    curves: Sequence[Curve] = ()
    scores: Sequence[float] = ()
    interval: tuple[float, float] | None = None
    seconds: float | None = None
    memory_gib: float | None = None
    picture: Path | None = None

    @property
    def mean(self) -> float:
        """Of the scores that are finite; nan if there are none."""
        finite = [score for score in self.scores if math.isfinite(score)]
        return sum(finite) / len(finite) if finite else math.nan


@dataclass(frozen=True)
class Metric:
    """What settings are compared by.

    Args:
        name: its tag.
        lower_is_better: whether it is.
    """

    name: str
    lower_is_better: bool

    @property
    def better(self) -> str:
        """The word for it."""
        return "lower" if self.lower_is_better else "higher"

    def __str__(self) -> str:
        return f"{self.name} ({self.better} is better)"


def learning_curves(candidates: Sequence[Candidate], metric: Metric) -> Figure:
    """The mean over seeds of every setting, best first, with a band from the lowest to the highest seed."""
    figure, axes = _blank(8, 4.6)
    drawn = [(rank, each, mean_and_range(each.curves)) for rank, each in enumerate(candidates) if each.curves]
    greys = [rank for rank, *_ in drawn if rank >= LEADERS]
    for rank, candidate, (steps, mean, low, high) in reversed(drawn):
        colour, marker = style(rank)
        leads = rank < LEADERS
        if leads and len(candidate.curves) > 1:
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            steps,
            mean,
            color=colour,
            marker=marker if leads or len(steps) == 1 else None,
            markersize=5,
            markevery=max(1, len(steps) // 8),
            linewidth=1.8 if leads else 0.8,
            zorder=3 if leads else 1,
            label=_legend_text(rank, candidate, greys),
        )
    axes.set_xlabel("step")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_ylabel(str(metric))
    _scale(axes, "y", [value for _, _, (_, *bounds) in drawn for bound in bounds for value in bound])
    _legend(figure, axes)
    return figure


def mean_and_range(curves: Sequence[Curve]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Steps, and mean, lowest and highest value there of the curves that have come so far.

    A step counts where all of these have a finite value: one that is missing would make the mean jump.
    """
    values = [{step: value for step, value in curve if math.isfinite(value)} for curve in curves]
    last = [max(each, default=-1) for each in values]
    steps, mean, low, high = [], [], [], []
    for step in sorted({step for each in values for step in each}):
        here = [each.get(step) for each, end in zip(values, last, strict=True) if end >= step]
        found = [value for value in here if value is not None]
        if len(found) == len(here):
            steps.append(step)
            mean.append(sum(found) / len(found))
            low.append(min(found))
            high.append(max(found))
    return steps, mean, low, high


def final_scores(candidates: Sequence[Candidate], metric: Metric) -> Figure:
    """A row per setting: a dot for every seed, the mean, and its interval."""
    figure, axes = _blank(8, 1.0 + 0.27 * len(candidates))
    for rank, candidate in enumerate(candidates):
        colour, _ = style(rank)
        finite = [score for score in candidate.scores if math.isfinite(score)]
        if not finite:
            axes.annotate(
                "no final score", (0.01, rank), xycoords=axes.get_yaxis_transform(), va="center", color="0.45"
            )
            continue
        if candidate.interval is not None and all(map(math.isfinite, candidate.interval)):
            axes.plot(candidate.interval, [rank, rank], color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot(finite, [rank] * len(finite), "o", color=colour, markersize=5, fillstyle="none")
        axes.plot(candidate.mean, rank, "|", color=colour, markersize=13, markeredgewidth=2.2)
    axes.set_yticks(range(len(candidates)), [shortened(candidate.label) for candidate in candidates])
    axes.set_ylim(len(candidates) - 0.4, -0.6)
    axes.set_xlabel(str(metric))
    _scale(axes, "x", [score for candidate in candidates for score in candidate.scores])
    return figure


def parallel_coordinates(candidates: Sequence[Candidate], keys: Sequence[str], metric: Metric) -> Figure:
    """A line per setting through its values to its mean score, dark where that is good; dotted without one."""
    scored = [each for each in candidates if math.isfinite(each.mean)]
    by_score = sorted(scored, key=lambda each: each.mean)
    uprights = [upright([each.values.get(key, NOT_TYPED) for each in candidates], MOST_TICKS) for key in keys]
    scores = upright([repr(each.mean) for each in scored], 0)
    figure, axes = _blank(max(6.0, 2.4 + 1.3 * len(keys)), 4.8)
    for rank, candidate in reversed(list(enumerate(candidates))):
        texts = [candidate.values.get(key, NOT_TYPED) for key in keys]
        if candidate not in scored:
            path = [axis.height(text, 0.0) for axis, text in zip(uprights, texts, strict=True)]
            axes.plot(path, color="0.5", linewidth=1, linestyle=":", zorder=1)
            continue
        height = scores.height(repr(candidate.mean), 0.0)
        where = by_score.index(candidate) / max(1, len(scored) - 1) - 0.5
        path = [*(axis.height(text, where) for axis, text in zip(uprights, texts, strict=True)), height]
        badness = height if metric.lower_is_better else 1 - height
        colour = colormaps["cividis"](0.9 * badness)  # the brightest yellow is lost on white
        axes.plot(path, color=colour, linewidth=1.2 if rank else 3.0, zorder=2 if rank else 4)
    titles = [*short_keys(keys), f"{metric.name}\n({metric.better} is better)"]
    for index, (title, axis) in enumerate(zip(titles, [*uprights, scores], strict=True)):
        _draw_upright(axes, index, title, axis)
    axes.set_xlim(-0.1, len(keys) + 0.4)
    axes.set_axis_off()
    return figure


@dataclass(frozen=True)
class Upright:
    """An axis of parallel coordinates.

    Args:
        heights: value, as typed -> height in [0, 1].
        ticks: heights and what is written there.
        slack: how far apart lines of one value are spread.
    """

    heights: Mapping[str, float]
    ticks: Sequence[tuple[float, str]]
    slack: float

    def height(self, text: str, where: float) -> float:
        """Where a line passes that is at ``where`` in [-0.5, 0.5] among those of the same value."""
        return self.heights[text] + self.slack * where


def upright(texts: Iterable[str], most_ticks: int) -> Upright:
    """An axis for values as typed: to scale for numbers, logarithmic where they span a decade, else a place for each.

    Args:
        texts: of all settings.
        most_ticks: more numbers than that get ticks at even heights instead of one each.
    """
    distinct = list(dict.fromkeys(texts))
    numbers = {text: number for text in distinct if (number := _number(text)) is not None}
    if not numbers or not {*distinct} <= {*numbers, NOT_TYPED}:
        step = 1 / max(1, len(distinct) - 1)
        heights = {text: index * step if len(distinct) > 1 else 0.5 for index, text in enumerate(sorted(distinct))}
        return Upright(heights, [(height, text) for text, height in heights.items()], min(0.06, 0.4 * step))
    scale = math.log10 if min(numbers.values()) > 0 and max(numbers.values()) >= 10 * min(numbers.values()) else float
    low, high = scale(min(numbers.values())), scale(max(numbers.values()))
    bottom = 0.16 if NOT_TYPED in distinct else 0.0
    share = (1 - bottom) / (high - low) if high > low else 0.0
    middle = bottom if high > low else (1 + bottom) / 2
    heights = {text: middle + (scale(number) - low) * share for text, number in numbers.items()}
    missing = {NOT_TYPED: 0.0} if NOT_TYPED in distinct else {}
    ticks = [(height, text) for text, height in (heights | missing).items()]
    if len(numbers) > most_ticks and high > low:
        ticks = [(height, text) for text, height in missing.items()]
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            value = low + (high - low) * part
            ticks.append((bottom + (1 - bottom) * part, f"{10**value if scale is math.log10 else value:.3g}"))
    return Upright(heights | missing, ticks, 0.0 if len(numbers) > most_ticks else 0.04)


def _draw_upright(axes: Axes, index: int, title: str, axis: Upright) -> None:
    axes.plot([index, index], [-0.04, 1.04], color="0.35", linewidth=0.8, zorder=3)
    axes.annotate(title, (index, 1.08), rotation=15, va="bottom", fontsize=9, annotation_clip=False)
    for height, text in axis.ticks:
        axes.annotate(
            shortened(text, 20),
            (index, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            zorder=5,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def importance_bars(shares: Mapping[str, float], metric: Metric) -> Figure:
    """A bar per key: the share of the variance of the score that is explained by it."""
    known = {key: share for key, share in shares.items() if math.isfinite(share)}
    ordered = sorted(known.items(), key=lambda item: -item[1])
    figure, axes = _blank(7, 0.9 + 0.3 * len(ordered))
    bars = axes.barh(range(len(ordered)), [100 * max(share, 0.0) for _, share in ordered], color=BLUE, height=0.6)
    axes.bar_label(bars, [f"{100 * max(share, 0.0):.0f} %" for _, share in ordered], padding=3, fontsize=9)
    axes.set_yticks(range(len(ordered)), [shortened(key) for key, _ in ordered])
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel(f"share of the variance of {metric.name}, %")
    axes.grid(visible=False)
    return figure


def time_and_score(candidates: Sequence[Candidate], metric: Metric) -> Figure:
    """A marker per setting at its time per run and mean score, its area in proportion to the memory where known."""
    figure, axes = _blank(8, 4.6)
    drawn = [(rank, each) for rank, each in enumerate(candidates) if each.seconds and math.isfinite(each.mean)]
    unit, seconds = _unit(max((each.seconds or 0.0 for _, each in drawn), default=0.0))
    most = max((each.memory_gib or 0.0 for _, each in drawn), default=0.0)
    greys = [rank for rank, _ in drawn if rank >= LEADERS]
    for rank, candidate in reversed(drawn):
        colour, marker = style(rank)
        axes.scatter(
            (candidate.seconds or 0.0) / seconds,
            candidate.mean,
            s=40 if not most else 10 + 190 * (candidate.memory_gib or 0.0) / most,
            color=colour,
            marker=marker,
            alpha=0.85,
            linewidths=0,
            zorder=3 if rank < LEADERS else 1,
            label=_legend_text(rank, candidate, greys),
        )
    axes.margins(0.08)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{unit} per run" + (f" (largest marker: {most:.2g} GiB of memory)" if most else ""))
    axes.set_ylabel(str(metric))
    _scale(axes, "y", [each.mean for _, each in drawn])
    _legend(figure, axes)
    return figure


def style(rank: int) -> tuple[str, str]:
    """Colour and marker of the setting that is ``rank``-th best, from 0."""
    return (COLOURS[rank], MARKERS[rank]) if rank < LEADERS else (GREY, ".")


def short_keys(keys: Sequence[str]) -> list[str]:
    """The ends of dotted keys, as short as tells all of them apart: ``lr`` of ``optimizer.generator.lr``."""
    parts = [key.split(".") for key in keys]
    short = []
    for own in parts:
        ends = [".".join(own[-length:]) for length in range(1, len(own) + 1)]
        taken = [{".".join(other[-length:]) for other in parts if other != own} for length in range(1, len(own) + 1)]
        short.append(next((end for end, others in zip(ends, taken, strict=True) if end not in others), ".".join(own)))
    return short


def shortened(text: str, longest: int = LONGEST_LABEL) -> str:
    """``text``, without its middle where it is too long."""
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def _blank(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _scale(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """A logarithmic axis for scores that span decades."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) > WIDE * min(finite):
        axes.set(**{f"{which}scale": "log"})
        axis = axes.xaxis if which == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Axes) -> None:
    """Below the axes, the best setting first."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        longest = max(map(len, labels))
        legend = figure.legend(
            handles[::-1],
            labels[::-1],
            loc="outside lower left",
            ncols=1 if longest > 50 else 2 if longest > 25 else 3,
            frameon=False,
            fontsize=9,
        )
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([40])


def _legend_text(rank: int, candidate: Candidate, greys: Sequence[int]) -> str | None:
    """One entry stands for all the ranks that are grey."""
    if rank < LEADERS:
        return shortened(candidate.label)
    return ("1 other" if len(greys) == 1 else f"{len(greys)} others") if rank == greys[0] else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _unit(most: float) -> tuple[str, float]:
    """A unit of time that suits ``most`` seconds, and its length."""
    return ("hours", 3600.0) if most > 3 * 3600 else ("minutes", 60.0) if most > 300 else ("seconds", 1.0)
