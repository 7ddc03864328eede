"""How far runs have come and how long they need: made-up folders, numbers worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ganrun.engine.folder import RunFolder
from ganrun.sweep.ledger import Row
from ganrun.sweep.progress import TICKS, Progress, differences, seconds_left


def write(folder: Path, *entries: dict, mode: str = "a") -> None:
    with (folder / "metrics.jsonl").open(mode) as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)


def tick(step: int, speed: float) -> dict:
    return {"step": step, "loss/generator/adversarial": 0.7, "speed/steps_per_second": speed}


@pytest.fixture
def progress(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\ntrainer:\n  steps: 1000\n  batch_size: 64\n")
    return Progress(tmp_path)


def test_nothing_is_known_of_a_run_that_has_not_begun(tmp_path):
    progress = Progress(tmp_path / "later")
    progress.look()
    assert (progress.step, progress.seconds, progress.steps) == (0, 0, None)
    assert (progress.speed, progress.seconds_left, progress.score) == (None, None, None)


def test_speed_is_steps_over_time_not_a_mean_of_speeds(progress, tmp_path):
    write(tmp_path, tick(100, 10.0), {"step": 100, "metric/fid": 50.0}, tick(300, 50.0))
    progress.look()
    assert (progress.step, progress.steps) == (300, 1000)
    assert progress.seconds == pytest.approx(100 / 10 + 200 / 50)
    assert progress.speed == pytest.approx(300 / 14)
    assert progress.seconds_left == pytest.approx(700 * 14 / 300)


def test_speed_is_that_of_late(progress, tmp_path):
    write(tmp_path, tick(100, 1.0), *(tick(100 + 10 * n, 20.0) for n in range(1, TICKS + 1)))
    progress.look()
    assert progress.speed == pytest.approx(20.0)
    assert progress.seconds == pytest.approx(100 + TICKS / 2)


def test_only_what_is_new_is_read_and_a_line_in_the_writing_waits(progress, tmp_path):
    write(tmp_path, tick(100, 10.0))
    progress.look()
    file = tmp_path / "metrics.jsonl"
    with file.open("r+b") as old:
        old.write(b"#")  # an old line is never looked at again
    text = json.dumps(tick(200, 10.0)) + "\n"
    for part, step in ((text[:20], 100), (text[20:], 200)):
        with file.open("a") as new:
            new.write(part)
        progress.look()
        assert progress.step == step
    assert progress.seconds == pytest.approx(20)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_rewritten_is_read_from_its_beginning(progress, tmp_path, replaced):
    write(tmp_path, tick(100, 10.0), {"step": 100, "metric/fid": 50.0}, tick(200, 10.0))
    progress.look()
    if replaced:  # as a run that goes on does, and longer than before when it is looked at again
        (tmp_path / "new").write_text("".join(json.dumps(tick(step, 5.0)) + "\n" for step in (50, 60, 70, 80, 90)))
        (tmp_path / "new").replace(tmp_path / "metrics.jsonl")
    else:
        write(tmp_path, tick(90, 5.0), mode="w")
    progress.look()
    assert progress.step == 90
    assert progress.seconds == pytest.approx(90 / 5)
    assert progress.speed == pytest.approx(5.0)
    assert progress.score is None


def test_broken_lines_are_passed_over(progress, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 10, "spe\n[1]\n{"metric/fid": 1}\n{"step": 20, "metric/fid": NaN}\n'
    )
    progress.look()
    assert progress.step == 20
    assert str(progress.score) == "('fid', nan)"


def test_the_score_is_the_last_one_of_the_selecting_metric(progress, tmp_path):
    write(tmp_path, {"step": 10, "metric/inception_score": 2.0, "metric/fid": 50.0})
    progress.look()
    assert progress.score == ("inception_score", 2.0)
    write(
        tmp_path, {"step": 10, "metric/best_fid": 50.0}, {"step": 20, "metric/inception_score": 3.0, "metric/fid": 60.0}
    )
    write(tmp_path, {"step": 20, "metric/best_fid": 50.0})
    progress.look()
    assert progress.score == ("fid", 60.0)


def test_steps_of_one_of_several_stages_are_not_the_runs(progress, tmp_path):
    write(tmp_path, tick(1000, 10.0), tick(1100, 10.0))
    progress.look()
    assert progress.steps is None
    assert progress.seconds_left is None


def run(tmp_path, status: str, name: str, step: int = 0, speed: float = 0, steps: int = 1000) -> tuple[Row, Progress]:
    """A run of ``steps`` steps that has had ``step`` of them."""
    folder = RunFolder(tmp_path / name)
    if status != "waiting":
        folder.write_status(status, step)
        folder.write_config({"trainer": {"steps": steps}})
    if step:
        write(folder.path, tick(step, speed))
    progress = Progress(folder.path)
    progress.look()
    return Row(folder.path, (), status, step), progress


def test_time_left_is_that_of_runs_which_start_as_others_end(tmp_path):
    runs = [
        run(tmp_path, "finished", "a", 1000, 100.0),  # took 10 s
        run(tmp_path, "running", "b", 500, 50.0),  # 10 of 20 s
        run(tmp_path, "running", "c", 900, 30.0),  # 30 s and 10 / 3 s left
        run(tmp_path, "waiting", "d"),
        run(tmp_path, "failed", "e", 100, 1.0),
        run(tmp_path, "waiting", "f"),
    ]
    typical = (10 + 20 + 100 / 3) / 3
    assert seconds_left(runs[:3], 2) == pytest.approx(10)
    assert seconds_left(runs[:4], 2) == pytest.approx(10 / 3 + typical)
    assert seconds_left(runs, 2) == pytest.approx(10 + typical)  # d follows c, f follows b
    assert seconds_left(runs, 3) == pytest.approx(10 / 3 + typical)  # d takes the free place at once


def test_runs_of_which_nothing_is_known_are_like_the_others(tmp_path):
    finished, begun = run(tmp_path, "finished", "a", 1000, 100.0), run(tmp_path, "running", "b")
    broken = run(tmp_path, "interrupted", "c", 750, 50.0)
    assert seconds_left([finished, begun], 1) == pytest.approx(10)
    assert seconds_left([begun, broken], 1) == pytest.approx(20 + 5)  # the other one's length, then what it lacks


def test_no_time_is_told_before_it_can_be(tmp_path):
    begun, waiting = run(tmp_path, "running", "a"), run(tmp_path, "waiting", "b")
    assert seconds_left([begun, waiting], 1) is None
    finished = run(tmp_path, "finished", "c", 1000, 100.0)
    assert seconds_left([finished, waiting], 0) is None
    assert seconds_left([finished], 1) is None
    assert seconds_left([], 0) is None


def rows(*jobs: list[str]) -> list[Row]:
    return [Row(Path(str(number)), tuple(job)) for number, job in enumerate(jobs)]


def test_differences_are_short_and_tell_runs_apart():
    jobs = [
        [f"loss={loss}", f"optimizer.generator.lr={lr}", "trainer.steps=100", f"seed={seed}", "+trainer.threads=1"]
        for loss, lr, seed in (("wgan", "1e-4", 0), ("hinge", "1e-4", 1), ("hinge", "0.00012345678", 1))
    ]
    assert differences(rows(*jobs)) == {
        "loss": ["wgan", "hinge", "hinge"],
        "lr": ["1e-4", "1e-4", "0.0001235"],
        "seed": ["0", "1", "1"],
    }


def test_keys_that_end_alike_are_told_apart():
    jobs = [
        ["optimizer.generator.lr=1", "optimizer.discriminator.lr=1", "a.lr_decay=1"],
        ["optimizer.generator.lr=2", "optimizer.discriminator.lr=3", "a.lr_decay=2"],
    ]
    assert list(differences(rows(*jobs))) == ["generator.lr", "discriminator.lr", "lr_decay"]  # as typed
    assert differences(rows(["lr=1", "a.lr=1"], ["lr=2", "a.lr=2"])) == {"a.lr": ["1", "2"], "lr": ["1", "2"]}


def test_a_value_that_only_some_runs_were_given():
    assert differences(rows(["seed=1"], ["seed=1", "technique=[r1,ema]"])) == {"technique": ["", "[r1,ema]"]}
    assert differences(rows(["seed=1"])) == {}


def test_nothing_here_imports_torch():
    program = "import sys, ganrun.sweep.table, ganrun.sweep.leases; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
