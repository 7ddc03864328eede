"""What a report says, as tables of text that any format can show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ganrun.report.ranking import Ranked, Ranking, by_setting, differing_keys, in_words, label_of, rankings
from ganrun.report.runs import Run
from ganrun.report.statistics import (
    FEWEST_SEEDS,
    FEWEST_SETTINGS,
    LEVEL,
    Difference,
    Summary,
    importance,
    summarise,
)

NOTHING = "-"

BEST, NOISE, WORSE, FEW = "best", "not told apart", "worse", "too few seeds"
VERDICTS = {
    BEST: "Best: {}.",
    NOISE: "Cannot be told from it with these seeds: {}.",
    WORSE: "Worse: {}.",
    FEW: f"Fewer than {FEWEST_SEEDS} seeds, and so not judged: {{}}.",
}
"""What is said of a setting beside the best one, in a cell and in a sentence."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: what it shows.
        caption: how to read it and what follows from it: paragraphs, one a string; ``code`` stands in backticks.
        header: of the columns.
        rows: cells, as many in each as there are columns; a cell may have several lines.
        labels: how many columns, from the left, are names and not numbers.
    """

    title: str
    caption: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int


@dataclass(frozen=True)
class Chapter:
    """What tables say about one metric.

    Args:
        ranking: settings in its order.
        table: of the ranking.
        others: other scores, if there are any.
        matters: what explains the metric, if there are several keys.
    """

    ranking: Ranking
    table: Table
    others: list[Table]
    matters: list[Table]

    @property
    def tables(self) -> list[Table]:
        """All of them."""
        return [self.table, *self.others, *self.matters]


def make_chapters(runs: Sequence[Run], metric: str | None) -> list[Chapter]:
    """A chapter for every group of like scores.

    Args:
        runs: at least one.
        metric: tag of the metric that ranks; ``None``: the one that selected the best checkpoints.
    """
    return [
        Chapter(ranking, ranking_table(ranking), other_scores(ranking), what_matters(ranking))
        for ranking in rankings(runs, metric)
    ]


def ranking_table(ranking: Ranking) -> Table:
    """Means, spreads and differences from the best setting, and what follows from them in words."""
    rows = [
        (
            *setting.label,
            _seeds(setting),
            _steps(setting),
            spread(setting.last),
            NOTHING if setting.last.interval is None else _range(*setting.last.interval, setting.last.deviation),
            spread(setting.best),
            NOTHING if setting.above_leader is None else _difference(setting.above_leader),
            _verdict(setting, ranking),
        )
        for setting in ranking.settings
    ]
    columns = ("seeds", "step", "last", "interval of the mean", "best", "above the best setting", "verdict")
    better = "lower" if ranking.measure.lower_is_better else "higher"
    return _without_empty_columns(
        Table(
            title=f"{ranking.measure.name} ({better} is better)",
            caption=(*findings(ranking), *remarks(ranking)),
            header=(*ranking.keys, *columns),
            rows=tuple(rows),
            labels=len(ranking.keys),
        )
    )


def findings(ranking: Ranking) -> list[str]:
    """Which setting is best, and which differences may be noise; a sentence each."""
    if len(ranking.settings) == 1:
        return ["All runs have the same settings: there is nothing to compare."]
    if ranking.leader is None:
        return [f"No setting has {FEWEST_SEEDS} seeds: nothing can be said about which differences are noise."]
    told: dict[str, list[str]] = {}
    for setting in ranking.settings:
        above = "" if setting.above_leader is None else f", {_difference(setting.above_leader)}"
        told.setdefault(_verdict(setting, ranking), []).append(f"{in_words(setting.label, ranking.keys)}{above}")
    return [sentence.format("; ".join(told[verdict])) for verdict, sentence in VERDICTS.items() if verdict in told]


def remarks(ranking: Ranking) -> list[str]:
    """How the scores were made, which runs count, and what the columns mean."""
    stamp = f"`{ranking.measure.column.stamp}`"
    if not ranking.all_finished:
        stamp += ". No run is finished: these are the scores so far."
    elif any(setting.missing for setting in ranking.settings):
        stamp += ". Only finished runs with such scores count, so a mean may be of those seeds that did well."
    if ranking.repeated:
        stamp += f" Left out: {ranking.repeated} that repeat settings and seed of another run."
    meaning = (
        "`last` and `best`: mean ± standard deviation over seeds, at the last step, and at each run's own best step, "
        "which flatters."
    )
    if ranking.leader is not None:
        meaning += (
            " Interval of the mean: bootstrap, too narrow for fewer than 6 seeds."
            f" Differences are of `last`, with intervals that hold for all pairs together with {_percent(LEVEL)}."
        )
    return [stamp, meaning]


def other_scores(ranking: Ranking) -> list[Table]:
    """What the other metrics say of the same runs at the same steps, in the same order."""
    if not ranking.others:
        return []
    titles = [f"{other.name} {'↓' if other.lower_is_better else '↑'}" for other in ranking.others]
    rows = []
    for setting in ranking.settings:
        places = [(each.run.folder, each.step) for each in setting.runs]
        scores = [other.column.scores for other in ranking.others]
        values = [[each[place] for place in places if place in each] for each in scores]
        rows.append((*setting.label, *(spread(summarise(each)) if each else NOTHING for each in values)))
    return [
        Table(
            title="Other scores",
            caption=(f"Of the last step, in the order of {ranking.measure.name}. ↓: lower is better; ↑: higher.",),
            header=(*ranking.keys, *titles),
            rows=tuple(rows),
            labels=len(ranking.keys),
        )
    ]


def what_matters(ranking: Ranking) -> list[Table]:
    """Which keys explain the metric, where there are enough settings to tell."""
    if len(ranking.keys) < 2:
        return []
    title = f"What matters for {ranking.measure.name}"
    scored = [(setting.label, run.last) for setting in ranking.settings for run in setting.runs]
    settings = [dict(zip(ranking.keys, label, strict=True)) for label, _ in scored]
    found = importance(settings, [score for _, score in scored])
    if found is None:
        return [Table(title, (f"Not estimated: that takes {FEWEST_SETTINGS} settings with unlike scores.",), (), (), 0)]
    if found.explained <= 0:
        caption = "Nothing can be said: a random forest predicts unseen settings no better than the mean does."
        return [Table(title, (caption,), (), (), 0)]
    shares = sorted(found.shares.items(), key=lambda item: -item[1])
    return [
        Table(
            title=title,
            caption=(
                f"Between runs whose settings it has not seen, a random forest explains {_percent(found.explained)} of "
                "the variance. `share`: of the variance, what it owes to the key, alone and together with others.",
            ),
            header=("key", "share"),
            rows=tuple((key, _percent(max(share, 0))) for key, share in shares),
            labels=1,
        )
    ]


def statuses(runs: Sequence[Run]) -> Table:
    """How many runs ended how, and where those that are not finished stand, and why."""
    counts = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in runs).most_common())
    shared = sorted(set.intersection(*({*run.settings.items()} for run in runs)))
    common = in_words([value for _, value in shared], [key for key, _ in shared])
    alike: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.status != "finished":
            alike.setdefault((run.status, run.reason or NOTHING), []).append(run)
    rows = [
        (
            _each(run.name for run in some),
            status,
            reason,
            _each(map(_log, some)),
            _each(f"{run.step:,}" for run in some),
        )
        for (status, reason), some in alike.items()
    ]
    return Table(
        title="Runs",
        caption=(f"{len(runs)} run{'s' * (len(runs) > 1)}: {counts}." + (f" All have {common}." if shared else ""),),
        header=("run", "status", "reason", "log", "step") if rows else (),
        rows=tuple(rows),
        labels=4,
    )


def costs(runs: Sequence[Run]) -> Table:
    """Time and memory per setting."""
    keys, rows = differing_keys(runs), []
    for same in by_setting(runs):
        finished = [run.seconds for run in same if run.status == "finished"]
        memory = [run.peak_memory_gib for run in same if run.peak_memory_gib is not None]
        rows.append(
            (
                *label_of(same[0], keys),
                f"{len(finished)} of {len(same)}",
                spread(summarise(finished)) if finished else NOTHING,
                f"{sum(run.seconds for run in same):,.0f}",
                f"{max(memory):.2f}" if memory else NOTHING,
            )
        )
    return Table(
        title="Time and memory",
        caption=(
            "Seconds of training, with the pictures and scores along the way, over all sessions of a run: of finished "
            "runs, and in all. Memory: the most that any run of the setting held.",
        ),
        header=(*keys, "finished", "seconds per run", "seconds in all", "peak memory, GiB"),
        rows=tuple(rows),
        labels=len(keys),
    )


def spread(summary: Summary) -> str:
    """``0.205 ± 0.019``: the deviation has two digits, and the mean as many decimals."""
    if summary.deviation is None:
        return _fixed(summary.mean, 0.0)
    return f"{_fixed(summary.mean, summary.deviation)} ± {_fixed(summary.deviation, summary.deviation)}"


def _fixed(value: float, scale: float, sign: str = "-") -> str:
    """``value`` with as many decimals as give ``scale`` two digits; four digits where that is 0, but for rounding."""
    if scale < 1e-12 * max(1.0, abs(value)):
        return f"{value:{sign}z.4g}"
    return f"{value:{sign}z,.{max(0, 1 - math.floor(math.log10(scale)))}f}"


def _range(low: float, high: float, scale: float | None) -> str:
    return f"{_fixed(low, scale or 0.0)} to {_fixed(high, scale or 0.0)}"


def _difference(of: Difference) -> str:
    mean, low, high = (_fixed(value, (of.high - of.low) / 2, "+") for value in (of.mean, of.low, of.high))
    return f"{mean} ({low} to {high})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _seeds(setting: Ranked) -> str:
    count = len(setting.runs)
    return f"{count} of {count + setting.missing}" if setting.missing else str(count)


def _steps(setting: Ranked) -> str:
    steps = sorted({each.step for each in setting.runs})
    return f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"


def _verdict(setting: Ranked, ranking: Ranking) -> str:
    if ranking.leader is None or len(ranking.settings) == 1:
        return NOTHING
    if setting.label == ranking.leader.label:
        return BEST
    if setting.above_leader is None:
        return FEW
    return NOISE if setting.above_leader.is_noise else WORSE


def _each(cells: Iterable[str]) -> str:
    """One line per run in a cell that stands for several, unless all are equal."""
    lines = list(cells)
    return lines[0] if len(set(lines)) == 1 else "\n".join(lines)


def _log(run: Run) -> str:
    path = run.folder / "run.log"
    return str(path) if path.exists() else NOTHING


def _without_empty_columns(table: Table) -> Table:
    columns = [column for column in zip(table.header, *table.rows, strict=True) if {*column[1:]} != {NOTHING}]
    header, *rows = zip(*columns, strict=True)
    return Table(table.title, table.caption, header, tuple(rows), table.labels)
