"""Settings in the order of their scores: runs that differ in the seed only, by scores with like stamps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ganrun.metrics.protocol import Column, columns
from ganrun.report.runs import Run
from ganrun.report.statistics import FEWEST_SEEDS, Difference, Summary, difference, summarise

NOT_GIVEN = "-"

Place = tuple[Path, int]
"""Run folder and step of a score."""

Label = tuple[str, ...]
"""Values of the keys that differ, :data:`NOT_GIVEN` where a key was not typed."""

Setting = tuple[tuple[str, str], ...]
"""Everything that was typed for a run, but the seed."""


@dataclass(frozen=True)
class Measure:
    """One metric, measured in one way.

    Args:
        column: its scores.
        tag: of the metric.
        lower_is_better: whether lower scores are better.
    """

    column: Column[Place]
    tag: str
    lower_is_better: bool

    @property
    def name(self) -> str:
        """The tag, with the metric's settings where these have to be told."""
        return self.column.header


@dataclass(frozen=True)
class Scored:
    """Scores of one run that stand in one column.

    Args:
        run: the run.
        curve: steps and scores, by step.
    """

    run: Run
    curve: tuple[tuple[int, float], ...]

    @property
    def step(self) -> int:
        """Of the last score."""
        return self.curve[-1][0]

    @property
    def last(self) -> float:
        """The last score."""
        return self.curve[-1][1]

    def best(self, lower_is_better: bool) -> float:
        """The best score of all steps."""
        return (min if lower_is_better else max)(score for _, score in self.curve)


@dataclass(frozen=True)
class Ranked:
    """A setting in a ranking.

    Args:
        label: values of the keys that differ.
        runs: those that count, one per seed.
        missing: seeds whose runs do not count, because they are not finished or have no such scores.
        last: the last scores.
        best: the best scores.
        above_leader: how far the mean of the last is above that of the ranking's leader; ``None`` for the leader, and
            where there are too few seeds.
    """

    label: Label
    runs: tuple[Scored, ...]
    missing: int
    last: Summary
    best: Summary
    above_leader: Difference | None = None


@dataclass(frozen=True)
class Ranking:
    """Settings in the order of one metric.

    Args:
        measure: the metric.
        others: other metrics with the same stamp.
        keys: that differ between the settings.
        settings: best first.
        leader: the best one that has enough seeds to be compared with others; ``None`` if there is none.
        all_finished: whether every run that counts is finished; otherwise none is.
        repeated: runs left out because another one has their settings and seed.
    """

    measure: Measure
    others: tuple[Measure, ...]
    keys: tuple[str, ...]
    settings: tuple[Ranked, ...]
    leader: Ranked | None
    all_finished: bool
    repeated: int


def setting_of(run: Run) -> Setting:
    """What the run has in common with those that differ in the seed only."""
    return tuple(sorted(run.settings.items()))


def differing_keys(runs: Iterable[Run]) -> tuple[str, ...]:
    """Keys that have more than one value, counting that it was not typed."""
    runs = list(runs)
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    return tuple(key for key in keys if len({run.settings.get(key) for run in runs}) > 1)


def label_of(run: Run, keys: Iterable[str]) -> Label:
    """The run's values of ``keys``."""
    return tuple(run.settings.get(key, NOT_GIVEN) for key in keys)


def by_setting(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that differ in the seed only, together."""
    groups: dict[Setting, list[Run]] = {}
    for run in runs:
        groups.setdefault(setting_of(run), []).append(run)
    return list(groups.values())


def in_words(label: Iterable[str], keys: Iterable[str]) -> str:
    """A label as it would be typed, in backticks."""
    typed = [f"{key}={value}" for key, value in zip(keys, label, strict=True) if value != NOT_GIVEN]
    return f"`{' '.join(typed)}`" if typed else "the one without overrides"


def measures(runs: Iterable[Run]) -> list[list[Measure]]:
    """Every metric of some runs, those with like stamps together."""
    runs = list(runs)
    entries = [
        ((run.folder, entry.step), entry.stamp, entry.scores)
        for run in runs
        for entry in run.scores
        if entry.step is not None  # of images that were put into the folder
    ]
    lower = {tag: low for run in runs for entry in run.scores for tag, low in entry.lower_is_better.items()}
    found = []
    for table in columns(entries).values():
        tags = [(column, column.header.partition(" (")[0]) for column in table]
        found.append([Measure(column, tag, lower[tag]) for column, tag in tags if tag in lower])
    return found


def rankings(runs: Sequence[Run], metric: str | None) -> list[Ranking]:
    """A ranking for every group of like scores.

    Args:
        runs: all runs.
        metric: tag of the metric that ranks, where there are such scores; ``None``: in every group that which selected
            most of its runs' best checkpoints, or else the first.
    """
    found = []
    for table in measures(runs):
        for measure in table:
            if measure.tag == (metric or _usual_metric(table, runs)):
                found.append(_rank(measure, tuple(other for other in table if other is not measure), runs))
    return found


def scored_runs(measure: Measure, runs: Iterable[Run]) -> list[Scored]:
    """The runs that a metric scored."""
    curves: dict[Path, list[tuple[int, float]]] = {}
    for (folder, step), score in measure.column.scores.items():
        curves.setdefault(folder, []).append((step, score))
    return [Scored(run, tuple(sorted(curves[run.folder]))) for run in runs if run.folder in curves]


def _usual_metric(table: Sequence[Measure], runs: Iterable[Run]) -> str:
    tags = [measure.tag for measure in table]
    inside = {folder for measure in table for folder, _ in measure.column.scores}
    selecting = Counter(run.best for run in runs if run.folder in inside and run.best in tags)
    return next((tag for tag, _ in selecting.most_common(1)), tags[0])


def _rank(measure: Measure, others: tuple[Measure, ...], runs: Sequence[Run]) -> Ranking:
    scored = scored_runs(measure, runs)
    keys = differing_keys(each.run for each in scored)
    counted = [each for each in scored if each.run.status == "finished"] or scored
    seeds: dict[Setting, dict[int | None, Scored]] = {}
    for each in sorted(counted, key=lambda each: each.step):
        seeds.setdefault(setting_of(each.run), {})[each.run.seed] = each
    settings = [
        Ranked(
            label=label_of(next(iter(chosen.values())).run, keys),
            runs=tuple(chosen.values()),
            missing=len({run.seed for run in runs if setting_of(run) == setting} - chosen.keys()),
            last=summarise([each.last for each in chosen.values()]),
            best=summarise([each.best(measure.lower_is_better) for each in chosen.values()]),
        )
        for setting, chosen in seeds.items()
    ]
    settings.sort(key=lambda setting: setting.last.mean * (1 if measure.lower_is_better else -1))
    leader, compared = _compared(settings)
    return Ranking(
        measure=measure,
        others=others,
        keys=keys,
        settings=tuple(compared),
        leader=leader,
        all_finished=all(each.run.status == "finished" for each in counted),
        repeated=len(counted) - sum(map(len, seeds.values())),
    )


def _compared(settings: Sequence[Ranked]) -> tuple[Ranked | None, list[Ranked]]:
    """The leader, and the settings with their differences from it."""
    judged = [setting for setting in settings if len(setting.runs) >= FEWEST_SEEDS]
    if not judged:
        return None, list(settings)
    leader, *others = judged
    above = {
        setting.label: difference(setting.last.values, leader.last.values, settings=len(judged)) for setting in others
    }
    return leader, [replace(setting, above_leader=above.get(setting.label)) for setting in settings]
