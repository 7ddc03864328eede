"""What is read of run folders and sweeps."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from made_up import STAMP, entry, make_run, tick

from ganrun.core.errors import RunError
from ganrun.report.runs import read_runs
from ganrun.sweep.ledger import Ledger


def read_one(path):
    (run,) = read_runs([path])
    return run


def test_everything_of_a_run(tmp_path):
    entries = [entry(50, {"fid": 9.0}), entry(100, {"fid": 7.0})]
    folder = make_run(
        tmp_path / "run",
        "run=elsewhere",
        "loss=hinge",
        "+trainer.extra=1",
        "~evaluation.metrics.modes",
        "trainer.device=cpu",
        seed=3,
        entries=entries,
        ticks=tick(50, 10.0, 1.5) + tick(100, 20.0, 1.25),
    )
    (folder / "samples").mkdir()
    for name in ("generated_00000100.png", "generated_00000050.png"):
        (folder / "samples" / name).touch()
    run = read_one(folder)
    assert (run.folder, run.name, run.status, run.step, run.seed, run.best) == (
        folder,
        "run",
        "finished",
        100,
        3,
        "fid",
    )
    assert run.settings == {"loss": "hinge", "trainer.extra": "1", "evaluation.metrics.modes": "removed"}
    assert [(each.step, each.scores, each.stamp) for each in run.scores] == [
        (50, {"fid": 9.0}, STAMP),
        (100, {"fid": 7.0}, STAMP),
    ]
    assert run.seconds == pytest.approx(50 / 10 + 50 / 20)
    assert run.peak_memory_gib == 1.5
    assert [path.name for path in run.pictures] == ["generated_00000050.png", "generated_00000100.png"]


def test_seconds_of_a_run_that_was_killed_and_went_on(tmp_path):
    """Killed after step 60; it went on from the checkpoint of step 50, with the line of step 60 dropped."""
    ticks = tick(20, 10.0) + tick(40, 10.0) + '{"step": 50, "metric/fid": 3.0}\n' + tick(60, 20.0) + tick(80, 5.0)
    assert read_one(make_run(tmp_path / "run", ticks=ticks)).seconds == pytest.approx(40 / 10 + 20 / 20 + 20 / 5)


def test_a_cut_last_line_does_not_count(tmp_path):
    run = read_one(make_run(tmp_path / "run", ticks=tick(20, 10.0) + tick(40, 10.0)[:-30], step=0))
    assert run.step == 20
    assert run.seconds == pytest.approx(2.0)


def test_settings_are_what_was_typed_since_the_beginning(tmp_path):
    folder = make_run(tmp_path / "run", "loss=hinge")
    recorded = {"commands": [["ganrun", "run=x"]], "overrides": ["loss=hinge", "trainer.steps=200", "run=x"]}
    (folder / "environment.json").write_text(json.dumps(recorded))
    assert read_one(folder).settings == {"loss": "hinge", "trainer.steps": "200"}


def test_a_sweep_lists_runs_that_never_began(tmp_path):
    ledger = Ledger(tmp_path / "sweep")
    ledger.add([["loss=hinge", "seed=0"], ["loss=wgan", "seed=0"], ["loss=wgan", "seed=1"]], ["loss", "seed"])
    began, failed, _ = ledger.rows()
    make_run(began.folder, "typed=elsewhere", "by=a launcher", seed=0)
    failed.folder.mkdir()
    (failed.folder / "status.json").write_text('{"status": "failed", "step": 0, "reason": "it needs labels"}')
    runs = read_runs([tmp_path])
    assert [(run.status, run.reason, run.settings, run.seed) for run in runs] == [
        ("finished", "", {"loss": "hinge"}, 0),
        ("failed", "it needs labels", {"loss": "wgan"}, 0),
        ("waiting", "", {"loss": "wgan"}, 1),
    ]
    assert read_runs([began.folder])[0].settings == {"loss": "hinge"}, (
        "the ledger knows, though the sweep was not named"
    )


def test_runs_are_named_as_shortly_as_tells_them_apart(tmp_path):
    for name in ("a/one", "a/two", "b/one"):
        make_run(tmp_path / name)
    assert [run.name for run in read_runs([tmp_path])] == ["a/one", "a/two", "b/one"]
    assert [run.name for run in read_runs([tmp_path / "a", tmp_path / "a" / "one"])] == ["one", "two"]


def test_a_run_whose_process_died_is_interrupted(tmp_path):
    assert read_one(make_run(tmp_path / "run", status="running")).status == "interrupted"


@pytest.mark.parametrize("text", ["{", '[{"subject": "x", "step": 1, "stamp": {}, "scores": {}}]'])
def test_scores_that_cannot_be_read_are_told_and_left_out(tmp_path, caplog, text):
    folder = make_run(tmp_path / "run")
    (folder / "evaluation.json").write_text(text)
    assert read_one(folder).scores == ()
    assert str(folder / "evaluation.json") in caplog.text


def test_no_run_is_told(tmp_path):
    with pytest.raises(RunError, match=r"holds no run, nor does any folder below it\. Name that of a run"):
        read_runs([tmp_path])


def test_a_report_does_not_wait_for_torch():
    code = "import sys, ganrun.config.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
