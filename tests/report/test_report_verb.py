"""``ganrun report`` as it is typed."""

from __future__ import annotations

import pytest
from made_up import make_run, make_scored

from ganrun.config.preflight import with_positional


def test_a_sweep_gets_its_report(ganrun, tmp_path):
    sweep = make_scored(tmp_path / "outputs" / "loss,seed=it's", {"hinge": [2.0, 2.1, 1.9], "wgan": [5.0, 5.1, 4.9]})
    code, out, err = ganrun("report", "outputs/loss,seed=it's")
    assert code == 0, err
    assert "Best: loss=hinge." in out
    assert "Worse: loss=wgan, +3.00" in out
    assert (sweep / "report.md").read_text().startswith("# loss,seed=it's\n")
    assert len((sweep / "report.csv").read_text().splitlines()) == 7
    again = ganrun("report", "outputs/loss,seed=it's")
    assert again == (code, out, err), "a report is no run, and everything random is fixed"


def test_several_folders_have_a_place_of_their_own(ganrun, tmp_path):
    for name in ("a", "b"):
        make_scored(tmp_path / name, {name: [1.0]})
    assert ganrun("report", "a", "b", "metric=fid")[0] == 0
    (report,) = tmp_path.glob("outputs/reports/a+b_*/report.md")
    assert "| loss |" in report.read_text()
    assert ganrun("report", "b", "./a")[0] == 0
    assert len([*tmp_path.glob("outputs/reports/*")]) == 1, "the same runs"


def test_output_names_another_place(ganrun, tmp_path):
    make_run(tmp_path / "run")
    assert ganrun("report", "run", "output=else,where")[0] == 0
    written = sorted(path.name for path in (tmp_path / "else,where").iterdir())
    assert written == ["report.csv", "report.html", "report.md"]
    assert not (tmp_path / "run" / "report.md").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "There is nothing to report on. Name folders of runs or sweeps: ganrun report"),
        (["nowhere"], "nowhere holds no run, nor does any folder below it."),
        (["outputs/loss=hinge,seed"], "outputs/loss=hinge,seed holds no run"),
        (["run", "metrc=fid"], "Did you mean metric?"),
        (["run", "metric=fids"], "No run has scores of fids. Did you mean fid? There are: fid, modes."),
        (["run", "output=run/status.json"], "a file is where a folder should be"),
    ],
)
def test_mistakes_are_told(ganrun, tmp_path, arguments, told):
    make_scored(tmp_path, {"run": [1.0]})
    (tmp_path / "run0").rename(tmp_path / "run")
    code, out, err = ganrun("report", *arguments)
    assert code == 1
    assert told in err
    assert out == "" or "Runs\n====" in out


def test_paths_are_told_from_overrides_and_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loss=wgan,seed").mkdir()
    typed = ["--cfg", "job", "x", "metric=fid", "outputs/a=1,b", "loss=wgan,seed", "hydra/job_logging=none"]
    assert with_positional(typed, "folders") == [
        *["--cfg", "job", "metric=fid", "hydra/job_logging=none"],
        "folders=['x','outputs/a=1,b','loss=wgan,seed']",
    ]
    assert with_positional(["--help"], "folders") == ["--help"]
