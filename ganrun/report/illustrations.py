"""The figures of a report: drawn from rankings, saved beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean

from matplotlib import rc_context
from matplotlib.figure import Figure

from ganrun.report import samples
from ganrun.report.figures import (
    LEADERS,
    Candidate,
    Metric,
    final_scores,
    importance_bars,
    learning_curves,
    parallel_coordinates,
    short_keys,
    time_and_score,
)
from ganrun.report.ranking import Ranked, Ranking, Scored, differing_keys, scored_runs, setting_of
from ganrun.report.runs import Run
from ganrun.report.tables import Chapter


@dataclass(frozen=True)
class Illustration:
    """A figure in a file.

    Args:
        title: what it shows.
        caption: how to read it.
        path: SVG, or PNG for samples.
    """

    title: str
    caption: str
    path: Path


def illustrate(chapters: Iterable[Chapter], runs: Sequence[Run], where: Path) -> list[dict[str, Illustration]]:
    """Draw what there is to show.

    Args:
        chapters: of the report.
        runs: all runs, those without scores among them.
        where: folder for the figures; made when missing.

    Returns:
        Of every chapter, name -> figure.
    """
    illustrations = []
    for number, chapter in enumerate(chapters, start=1):
        found = {}
        for name, (title, caption, figure) in _draw(chapter, runs).items():
            path = where / f"{name}{'' if number == 1 else f'_{number}'}{'.png' if name == 'samples' else '.svg'}"
            save(figure, path)
            found[name] = Illustration(title, caption, path)
        illustrations.append(found)
    return illustrations


def save(figure: Figure, path: Path) -> None:
    """Write a figure; equal figures give equal files, and text in SVG stays text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def candidates(ranking: Ranking, runs: Sequence[Run]) -> list[Candidate]:
    """Settings as figures show them: those of the ranking, then those without a final score."""
    keys = differing_keys(runs)
    ranked = [_candidate([scored.run for scored in each.runs], each.runs, each, keys) for each in ranking.settings]
    placed = {setting_of(each.runs[0].run) for each in ranking.settings}
    scored = scored_runs(ranking.measure, runs)
    others: dict[object, list[Run]] = {}
    for run in runs:
        if setting_of(run) not in placed and (not run.scores or any(run is each.run for each in scored)):
            others.setdefault(setting_of(run), []).append(run)
    unranked = [
        _candidate(same, [each for each in scored if any(each.run is run for run in same)], None, keys)
        for same in others.values()
    ]
    return ranked + unranked


def _candidate(runs: Sequence[Run], scored: Sequence[Scored], ranked: Ranked | None, keys: Sequence[str]) -> Candidate:
    values = {key: value for key in keys if (value := runs[0].settings.get(key)) is not None}
    short = dict(zip(keys, short_keys(keys), strict=True))
    memory = [run.peak_memory_gib for run in runs if run.peak_memory_gib is not None]
    by_seed = sorted(runs, key=lambda run: -1 if run.seed is None else run.seed)
    return Candidate(
        label=" ".join(f"{short[key]}={value}" for key, value in values.items()) or "no overrides",
        values=values,
        curves=tuple(each.curve for each in scored),
        scores=() if ranked is None else ranked.last.values,
        interval=None if ranked is None else ranked.last.interval,
        seconds=fmean(run.seconds for run in runs),
        memory_gib=max(memory, default=None),
        picture=next((path for run in by_seed if (path := samples.newest_picture(run.pictures))), None),
    )


def _draw(chapter: Chapter, runs: Sequence[Run]) -> dict[str, tuple[str, str, Figure]]:
    """Name -> title, caption and figure."""
    measure, shown, keys = chapter.ranking.measure, candidates(chapter.ranking, runs), differing_keys(runs)
    metric = Metric(measure.name, measure.lower_is_better)
    colours = f" The best {LEADERS} have a colour each." if len(shown) > LEADERS else ""
    drawn = {
        "learning_curves": (
            "Learning curves",
            "Mean over the seeds that have come so far, with a band from the lowest to the highest of them." + colours,
            learning_curves(shown, metric),
        ),
        "final_scores": (
            "Final scores",
            "A ring for each seed's last score, a stroke at their mean, a bar for the interval of the mean.",
            final_scores(shown, metric),
        ),
    }
    if pictures := pictures_of(shown):
        drawn["samples"] = (
            "Samples side by side",
            "The last picture of one seed of each setting, best first; grids are cut to their first rows and columns.",
            samples.side_by_side(pictures),
        )
    if len(keys) > 1:
        drawn["parallel_coordinates"] = (
            "Parallel coordinates",
            "A line for each setting, from its values to its mean score: dark where that is good, thick for the best, "
            "dotted without a final score. Lines of one value are spread in the order of their scores.",
            parallel_coordinates(shown, keys, metric),
        )
    if shares := {key: float(share.rstrip("% ")) / 100 for table in chapter.matters for key, share in table.rows}:
        drawn["importance"] = ("Importance", "Shares of the table above.", importance_bars(shares, metric))
    drawn["time_and_score"] = (
        "Time against score",
        "Means over seeds." + colours,
        time_and_score(shown, metric),
    )
    return drawn


def pictures_of(shown: Iterable[Candidate]) -> list[tuple[str, samples.Pixels]]:
    """Labels and pictures of the best settings that have any."""
    read = ((each.label, samples.read_picture(each.picture)) for each in shown if each.picture is not None)
    return list(islice(((label, pixels) for label, pixels in read if pixels is not None), samples.MOST))
