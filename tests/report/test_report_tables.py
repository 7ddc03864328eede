"""What a report says: order, words, and that unlike scores never stand together."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from made_up import STAMP, entry, make_run, make_scored, tick

from ganrun.report.ranking import rankings
from ganrun.report.render import as_csv, as_markdown, as_text
from ganrun.report.runs import read_runs
from ganrun.report.statistics import summarise
from ganrun.report.tables import Table, costs, make_chapters, ranking_table, spread, statuses, what_matters

LOSSES = {"hinge": [2.0, 2.2, 1.8], "wgan": [2.4, 1.9, 2.3], "lsgan": [9.0, 9.2, 8.8], "once": [5.0]}


def all_tables(path, metric=None):
    runs = read_runs([path])
    return [statuses(runs), *(table for each in make_chapters(runs, metric) for table in each.tables), costs(runs)]


def tables_of(path, metric=None):
    return {table.title: table for table in all_tables(path, metric)}


def only_ranking(path, metric=None):
    (ranking,) = rankings(read_runs([path]), metric)
    return ranking


def losses_of(ranking):
    return [setting.label[0] for setting in ranking.settings]


def test_report_as_text(tmp_path):
    make_scored(tmp_path, LOSSES)
    tables = all_tables(tmp_path)
    assert as_text(tables) == (
        """\
Runs
====
10 runs: 10 finished.

fid (lower is better)
=====================
Best: loss=hinge.
Cannot be told from it with these seeds: loss=wgan, +0.20 (-0.53 to +0.93).
Worse: loss=lsgan, +7.00 (+6.42 to +7.58).
Fewer than 3 seeds, and so not judged: loss=once.
[HASH] 2,500 generated, 0 real (train, 22848af6), none, ema weights, no truncation, ganrun 0.1.0
last and best: mean ± standard deviation over seeds, at the last step, and at each run's own best step, which flatters.
Interval of the mean: bootstrap, too narrow for fewer than 6 seeds. Differences are of last, with intervals that hold
for all pairs together with 95 %.

loss   seeds  step         last  interval of the mean         best  above the best setting         verdict
hinge      3   100  2.00 ± 0.20          1.80 to 2.20  1.00 ± 0.20                       -            best
wgan       3   100  2.20 ± 0.26          1.90 to 2.40  1.20 ± 0.26  +0.20 (-0.53 to +0.93)  not told apart
once       1   100            5                     -            4                       -   too few seeds
lsgan      3   100  9.00 ± 0.20          8.80 to 9.20  8.00 ± 0.20  +7.00 (+6.42 to +7.58)           worse

Other scores
============
Of the last step, in the order of fid. ↓: lower is better; ↑: higher.

loss   modes ↑
hinge    8 ± 0
wgan     8 ± 0
once         8
lsgan    8 ± 0

Time and memory
===============
Seconds of training, with the pictures and scores along the way, over all sessions of a run: of finished runs, and in
all. Memory: the most that any run of the setting held.

loss   finished  seconds per run  seconds in all  peak memory, GiB
hinge    3 of 3            2 ± 0               6              0.50
lsgan    3 of 3            2 ± 0               6              0.50
once     1 of 1                2               2              0.50
wgan     3 of 3            2 ± 0               6              0.50
""".replace("HASH", STAMP.hash)
    )


def test_ranking_as_markdown(tmp_path):
    make_scored(tmp_path, {"hinge": [2.0, 2.2], "a|b": [3.0]})
    assert as_markdown("sweep", [ranking_table(only_ranking(tmp_path))], tmp_path) == (
        """\
# sweep

## fid (lower is better)

No setting has 3 seeds: nothing can be said about which differences are noise.

`[HASH] 2,500 generated, 0 real (train, 22848af6), none, ema weights, no truncation, ganrun 0.1.0`

`last` and `best`: MEANING

| loss | seeds | step | last | best |
| --- | ---: | ---: | ---: | ---: |
| hinge | 2 | 100 | 2.10 ± 0.14 | 1.10 ± 0.14 |
| a\\|b | 1 | 100 | 3 | 2 |
""".replace("HASH", STAMP.hash).replace(
            "MEANING",
            "mean ± standard deviation over seeds, at the last step, and at each run's own best step, which flatters.",
        )
    )


def test_higher_is_better_where_it_is(tmp_path):
    for loss, found in {"few": 3.0, "many": 8.0}.items():
        for seed in range(3):
            make_run(
                tmp_path / f"{loss}{seed}", f"loss={loss}", seed=seed, entries=[entry(9, {"modes": found + seed / 9})]
            )
    ranking = only_ranking(tmp_path)
    assert losses_of(ranking) == ["many", "few"]
    assert ranking.settings[1].above_leader.mean == -5
    assert ranking_table(ranking).title == "modes (higher is better)"
    assert "Worse: `loss=few`" in ranking_table(ranking).caption[1]


def test_unlike_stamps_never_stand_together(tmp_path):
    more = replace(STAMP, generated=50000)
    for seed in range(3):
        make_run(
            tmp_path / f"a{seed}",
            "loss=a",
            seed=seed,
            entries=[entry(100, {"fid": 5.0 + seed}), entry(100, {"fid": 1.0 + seed}, more)],
        )
        make_run(tmp_path / f"b{seed}", "loss=b", seed=seed, entries=[entry(100, {"fid": 3.0 + seed}, more)])
    few, many = rankings(read_runs([tmp_path]), None)
    assert [setting.last.values for setting in few.settings] == [(5.0, 6.0, 7.0)]
    assert [setting.last.values for setting in many.settings] == [(1.0, 2.0, 3.0), (3.0, 4.0, 5.0)]
    assert (few.measure.column.stamp, many.measure.column.stamp) == (STAMP, more)


def test_settings_of_the_metric_are_part_of_the_column(tmp_path):
    stamps = [replace(STAMP, settings=(("modes", f"radius={radius}"),)) for radius in (2, 3)]
    for number, stamp in enumerate(stamps):
        make_run(tmp_path / str(number), f"loss={number}", entries=[entry(9, {"modes": number}, stamp)])
    found = rankings(read_runs([tmp_path]), None)
    assert [ranking.measure.name for ranking in found] == ["modes (radius=2)", "modes (radius=3)"]
    assert [len(ranking.settings) for ranking in found] == [1, 1]


def test_the_seed_of_the_latents_does_not_part_scores(tmp_path):
    for seed in range(3):
        stamp = replace(STAMP, seed=seed)
        make_run(tmp_path / str(seed), seed=seed, entries=[entry(9, {"fid": float(seed)}, stamp)])
    ranking = only_ranking(tmp_path)
    assert ranking.settings[0].last.values == (0.0, 1.0, 2.0)
    assert ranking_table(ranking).caption[0] == "All runs have the same settings: there is nothing to compare."


def test_the_metric_that_selected_checkpoints_ranks_unless_another_is_named(tmp_path):
    for loss, fid, modes in (("a", 1.0, 2.0), ("b", 2.0, 8.0)):
        make_run(tmp_path / loss, f"loss={loss}", entries=[entry(9, {"fid": fid, "modes": modes})], best="modes")
    assert losses_of(only_ranking(tmp_path)) == ["b", "a"]
    assert losses_of(only_ranking(tmp_path, "fid")) == ["a", "b"]


def test_runs_that_are_not_finished_do_not_count_but_are_told(tmp_path):
    make_scored(tmp_path, {"a": [1.0, 2.0]})
    make_run(
        tmp_path / "a2", "loss=a", seed=2, entries=[entry(50, {"fid": 0.1})], status="failed", reason="out of memory"
    )
    ranking = only_ranking(tmp_path)
    assert ranking.settings[0].last.values == (1.0, 2.0)
    table = ranking_table(ranking)
    assert table.rows[0][0] == "2 of 3"
    assert "a mean may be of those seeds that did well" in table.caption[1]


def test_scores_so_far_while_no_run_is_finished(tmp_path):
    make_run(tmp_path / "a", "loss=a", entries=[entry(50, {"fid": 3.0})], status="interrupted")
    make_run(tmp_path / "b", "loss=b", entries=[entry(70, {"fid": 2.0})], status="interrupted")
    ranking = only_ranking(tmp_path)
    assert losses_of(ranking) == ["b", "a"]
    assert any("No run is finished: these are the scores so far." in part for part in ranking_table(ranking).caption)


def test_a_seed_counts_once(tmp_path):
    """Two runs of one seed are no two samples of what seeds do."""
    for name in ("first", "again"):
        make_scored(tmp_path / name, {"a": [1.0, 2.0]})
    ranking = only_ranking(tmp_path)
    assert [len(setting.runs) for setting in ranking.settings] == [2]
    assert any("Left out: 2 that repeat settings and seed" in part for part in ranking_table(ranking).caption)


def test_a_key_that_was_not_typed(tmp_path):
    make_run(tmp_path / "a", "loss=a", entries=[entry(9, {"fid": 1.0})])
    make_run(tmp_path / "b", "loss=a", "lr=1", entries=[entry(9, {"fid": 2.0})])
    assert [row[0] for row in ranking_table(only_ranking(tmp_path)).rows] == ["-", "1"]


def test_failures_are_listed_with_their_reason_and_log(tmp_path):
    make_scored(tmp_path, {"a": [1.0]})
    for seed in range(2):
        make_run(tmp_path / f"b{seed}", "loss=b", seed=seed, status="failed", reason="no labels\nGive some.", step=seed)
    make_run(tmp_path / "c", "loss=c", status="stopped", reason="modes collapsed", step=70)
    for seed in range(2):
        make_run(tmp_path / f"d{seed}", "loss=d", seed=seed, status="pruned", step=5)
        (tmp_path / f"d{seed}" / "run.log").unlink()
    table = statuses(read_runs([tmp_path]))
    assert table.caption == ("6 runs: 2 failed, 2 pruned, 1 finished, 1 stopped.",)
    logs = [str(tmp_path / name / "run.log") for name in ("b0", "b1", "c")]
    assert table.rows == (
        ("b0\nb1", "failed", "no labels\nGive some.", f"{logs[0]}\n{logs[1]}", "0\n1"),
        ("c", "stopped", "modes collapsed", logs[2], "70"),
        ("d0\nd1", "pruned", "-", "-", "5"),
    )
    assert as_text([table]).splitlines()[4:] == [
        "run     b0",
        "        b1",
        "status  failed",
        "reason  no labels",
        "        Give some.",
        f"log     {logs[0]}",
        f"        {logs[1]}",
        "step    0",
        "        1",
        "",
        "run     c",
        "status  stopped",
        "reason  modes collapsed",
        f"log     {logs[2]}",
        "step    70",
        "",
        "run     d0",
        "        d1",
        "status  pruned",
        "step    5",
    ]


def test_what_all_runs_share_is_told_once(tmp_path):
    for loss in "ab":
        make_run(tmp_path / loss, f"loss={loss}", "dataset=ring", "trainer.steps=5")
    assert statuses(read_runs([tmp_path])).caption == ("2 runs: 2 finished. All have `dataset=ring trainer.steps=5`.",)


def test_runs_without_scores_have_their_costs(tmp_path):
    make_run(tmp_path / "a", ticks=tick(50, 25.0, 0.25))
    assert [table.title for table in all_tables(tmp_path)] == ["Runs", "Time and memory"]
    assert tables_of(tmp_path)["Time and memory"].rows == (("1 of 1", "2", "2", "0.25"),)


def test_importance_is_told_or_why_it_is_not(tmp_path):
    for index in range(4):
        overrides = (f"loss={'ab'[index % 2]}", f"lr={1 + index // 2}")
        make_run(tmp_path / str(index), *overrides, entries=[entry(9, {"fid": float(index)})])
    assert what_matters(only_ranking(tmp_path))[0].caption == (
        "Not estimated: that takes 8 settings with unlike scores.",
    )
    for index in range(4, 40):
        overrides = (f"loss={'ab'[index % 2]}", f"lr={1 + index // 2}")
        make_run(tmp_path / str(index), *overrides, entries=[entry(9, {"fid": 10.0 * (index % 2)})])
    (table,) = what_matters(only_ranking(tmp_path))
    assert table.rows[0][0] == "loss"
    assert len(table.rows) == 2


def test_csv_has_a_row_per_run(tmp_path):
    make_scored(tmp_path, {"a": [2.5]})
    make_run(tmp_path / "b", "loss=b", seed=4, status="failed", reason="why, indeed")
    first, second = csv.DictReader(io.StringIO(as_csv(read_runs([tmp_path]))))
    assert first == {
        "folder": str(tmp_path / "a0"),
        "status": "finished",
        "reason": "",
        "step": "100",
        "loss": "a",
        "seed": "0",
        f"fid last [{STAMP.hash}]": "2.5",
        f"fid best [{STAMP.hash}]": "1.5",
        f"modes last [{STAMP.hash}]": "8.0",
        f"modes best [{STAMP.hash}]": "8.0",
        "seconds": "2.0",
        "peak_memory_gib": "0.5",
    }
    assert (second["status"], second["reason"], second["seed"]) == ("failed", "why, indeed", "4")
    assert second[f"fid last [{STAMP.hash}]"] == ""


def test_numbers_have_the_digits_that_mean_something():
    assert spread(summarise([0.2031, 0.2222, 0.1846])) == "0.203 ± 0.019"
    assert spread(summarise([1000.0, 1300.0])) == "1,150 ± 212"
    assert spread(summarise([0.1, 0.1, 0.1])) == "0.1 ± 0"
    assert spread(summarise([3.14159])) == "3.142"
    assert spread(summarise([-0.01, 0.004])) == "-0.0030 ± 0.0099"
    assert spread(summarise([-1.0, 0.99])) == "0.0 ± 1.4"


def test_markdown_keeps_cells_in_their_columns(tmp_path):
    table = Table("t", (), ("a", "b"), (("x|y", "<class 'int'>\nnext"),), 1)
    assert as_markdown("m", [table], tmp_path).splitlines()[-1] == "| x\\|y | &lt;class 'int'><br>next |"
