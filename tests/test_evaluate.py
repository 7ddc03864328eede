"""The verbs for trained runs, as they are typed: evaluate, neighbours, reconstruct, interpolate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_runs import QUIET, SMALL, config_of

from ganrun import cli, load
from ganrun.config import launch
from ganrun.config.origin import Origin
from ganrun.config.sample import sum_picture
from ganrun.config.trained import Trained
from ganrun.data.digits import Digits
from ganrun.metrics.base import quantise

LEARN = "optimizer.generator.lr=0.03"  # four steps shall change something
DIGITS = ["dataset=digits", LEARN, "trainer.batch_size=8", "trainer.steps=4", *QUIET]
CHEAP = ["evaluation=quick", "evaluation.samples=120", "evaluation.features.classifier.epochs=1"]


def train(folder: Path, *overrides: str) -> Path:
    launch.train(config_of(*overrides), folder, Origin(list(overrides)))
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A DCGAN of four steps, never scored."""
    return train(tmp_path_factory.mktemp("trained") / "dcgan", *DIGITS, "model=dcgan_small", *SMALL["dcgan_small"])


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, called ``run``."""
    return shutil.copytree(trained, tmp_path / "run")


def entries(path: Path) -> list[dict]:
    return json.loads(path.read_text())


def test_a_finished_run_gets_the_scores_of_its_training(ganrun, tmp_path):
    overrides = [*DIGITS, *SMALL["cgan"], "model=cgan", *CHEAP, "evaluation.every_steps=2", "seed=3"]
    train(tmp_path / "run", *overrides)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    logged = {
        line["step"]: {tag.removeprefix("metric/"): line[tag] for tag in line if tag.startswith("metric/")}
        for line in lines
        if "metric/fid_classifier" in line
    }
    before = entries(tmp_path / "run" / "evaluation.json")  # training remembers its scores there, too
    assert [entry["scores"] for entry in before] == [logged[2], logged[4]]
    better = {"fid_classifier": True, "inception_score_classifier": False}
    assert [entry["lower_is_better"] for entry in before] == [better, better]
    for step in ("last", "best"):
        code, shown, error = ganrun("evaluate", "run=run", f"step={step}")
        assert code == 0, error
        entry = entries(tmp_path / "run" / "evaluation.json")[-1]
        assert entry["scores"] == logged[entry["step"]]
        assert entry["lower_is_better"] == better
        assert f"run step {entry['step']}" in shown
    assert len(entries(tmp_path / "run" / "evaluation.json")) == 2
    assert logged[2] != logged[4]


def test_scores_are_kept_once_per_step_and_stamp(ganrun, run):
    for samples in (120, 120, 110):
        code, shown, error = ganrun("evaluate", "run=run", *CHEAP, f"evaluation.samples={samples}")
        assert code == 0, error
        assert f"{samples} generated, 1,797 real" in shown
        assert "ema weights" in shown
        assert "fid_classifier" in shown
    kept = entries(run / "evaluation.json")
    assert [entry["stamp"]["generated"] for entry in kept] == [120, 110]
    assert kept[0]["stamp"]["hash"] != kept[1]["stamp"]["hash"]
    assert {entry["step"] for entry in kept} == {4}
    assert kept[0]["stamp"]["extractor"] == "classifier"
    events = EventAccumulator(str(run))
    events.Reload()
    for entry in kept:
        (scalar, *_) = events.Scalars(f"evaluation_{entry['stamp']['hash']}/fid_classifier")
        assert scalar.step == 4
        assert scalar.value == pytest.approx(entry["scores"]["fid_classifier"])


def test_raw_weights_truncation_and_seed_change_the_scores(ganrun, run):
    common = ["evaluate", "run=run", *CHEAP, "~evaluation.metrics.inception_score", "output=here/scores.json"]
    for change in ([], ["weights=raw"], ["truncation=0.3"], ["seed=7"], ["seed=0"]):
        assert ganrun(*common, *change)[0] == 0
    kept = entries(run.parent / "here" / "scores.json")
    assert len(kept) == 4  # seed 0 is the run's own
    assert len({entry["scores"]["fid_classifier"] for entry in kept}) == 4
    assert sorted(entry["stamp"]["weights"] for entry in kept) == ["ema", "ema", "ema", "raw"]
    assert {entry["stamp"]["truncation"] for entry in kept} == {None, 0.3}
    assert not (run / "evaluation.json").exists()


def test_weights_of_a_run_without_averages_are_called_raw(ganrun, tmp_path):
    train(tmp_path / "run", *DIGITS, *SMALL["dcgan_small"], "player.generator.ema=null")
    assert "raw weights" in ganrun("evaluate", "run=run", *CHEAP)[1]


def test_real_images_saved_as_files_are_as_good_as_the_data(ganrun, tmp_path):
    """From a directory, in grey or as colour, and from a ZIP; the order of the files changes nothing that is real."""
    (tmp_path / "real").mkdir()
    data = Digits(size=32, filter="bicubic", subset=None, subset_seed=0, flip=False)
    pixels = quantise(data.fetch((torch.arange(1797),), augment=False).real)[:, 0].numpy()
    for number, image in enumerate(pixels):
        Image.fromarray(image).convert("RGB" if number % 2 else "L").save(tmp_path / "real" / f"{number}.png")
    shutil.make_archive(str(tmp_path / "real"), "zip", tmp_path / "real")
    cheap = [*CHEAP, "evaluation.samples=2000", "evaluation.real=null", "dataset=digits"]
    for place in ("real", "real.zip"):
        code, shown, error = ganrun("evaluate", f"generated={place}", *cheap)
        assert code == 0, error
        assert "only 1797 of the 2000 samples asked for" in error
        assert "1,797 generated" in shown
        assert "unknown weights" in shown
    one, other = entries(tmp_path / "outputs" / "evaluation.json")
    assert one["scores"] == other["scores"]
    assert [entry["subject"] for entry in (one, other)] == [str(tmp_path / name) for name in ("real", "real.zip")]
    assert one["scores"]["fid_classifier"] == pytest.approx(0, abs=1e-6)


def test_images_written_by_sample_score_as_if_generated_here(ganrun, run, tmp_path):
    """The files go through PNG and back without loss, so a peer's images get the scores that its program deserves."""
    assert ganrun("sample", "run=run", "count=120", "files=single", "output=fakes", "seed=5")[0] == 0
    assert ganrun("evaluate", "generated=fakes", "dataset=digits", *CHEAP, "output=scores.json")[0] == 0
    assert ganrun("evaluate", "run=run", *CHEAP, "output=scores.json")[0] == 0
    files, drawn = entries(tmp_path / "scores.json")
    assert files["scores"]["fid_classifier"] == pytest.approx(drawn["scores"]["fid_classifier"], rel=0.05)
    assert files["stamp"]["data"] == drawn["stamp"]["data"]
    assert files["stamp"]["hash"] != drawn["stamp"]["hash"]  # nothing is known of the weights behind the files


def test_many_runs_share_tables_where_their_stamps_agree(ganrun, trained, tmp_path):
    """One table per stamp; a run that cannot be scored is named and does not keep the others from it."""
    for name in ("outputs/day/a", "outputs/day/b,c=1", "outputs/broken"):
        shutil.copytree(trained, tmp_path / name)
    train(tmp_path / "outputs" / "raw", *DIGITS, *SMALL["dcgan_small"], "player.generator.ema=null")
    for path in (tmp_path / "outputs" / "broken" / "checkpoints").glob("*.pt"):
        path.write_bytes(b"broken")
    code, shown, error = ganrun("evaluate", "runs=outputs", *CHEAP)
    assert code == 1
    tables = shown.strip().split("\n[")
    assert len(tables) == 2
    one, other = sorted(tables, key=len, reverse=True)
    assert "outputs/day/a step 4" in one
    assert "outputs/day/b,c=1 step 4" in one
    assert "raw weights" in other
    assert "outputs/raw step 4" in other
    assert "1 of 4 runs could not be scored" in error
    assert "outputs/broken" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert len(entries(tmp_path / "outputs" / "day" / "b,c=1" / "evaluation.json")) == 1
    code, shown, error = ganrun("evaluate", "runs=outputs/d*", *CHEAP)
    assert code == 0, error
    assert "outputs/raw" not in shown
    assert ganrun("evaluate", "runs=[outputs/raw,outputs/day/a]", *CHEAP)[1].count("step 4") == 2


def test_a_runs_own_evaluation_and_data_are_the_starting_point(ganrun, run):
    code, shown, _ = ganrun("evaluate", "run=run", "evaluation=quick", "dataset.subset=500", "--cfg", "job")
    assert code == 0
    assert "subset: 500" in shown
    assert "fid:" in shown
    assert "metrics: {}" in ganrun("evaluate", "run=run", "--cfg", "job")[1]
    for start in ([], ["evaluation=quick"]):
        shown = ganrun("evaluate", "run=run", *start, "evaluation/features=random", "--cfg", "job")[1]
        assert "Random" in shown
        assert "Auto" not in shown


def test_points_and_pyramids(ganrun, tmp_path):
    train(tmp_path / "toy", "dataset=ring", *SMALL["toy"], *QUIET, "trainer.batch_size=8", "trainer.steps=2")
    code, shown, error = ganrun("evaluate", "run=toy", "evaluation=points")
    assert code == 0, error
    assert "high_quality" in shown
    train(tmp_path / "pyramid", "dataset=single_image", *SMALL["singan"], *QUIET, "trainer.steps=1")
    code, shown, error = ganrun("evaluate", "run=pyramid", "evaluation=single_image", "evaluation.samples=3")
    assert code == 0, error
    assert "no single_image_fid: no Inception weights" in error or "single_image_fid  " in shown
    for tag in ("single_image_fid_random", "patch_swd_half_std", "diversity"):
        assert tag in shown
    for verb in (["evaluate", "evaluation=quick"], ["neighbours"], ["interpolate"]):
        code, _, error = ganrun(verb[0], "run=pyramid", *verb[1:])
        assert code == 1
        assert "Traceback" not in error


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_neighbours_are_drawn_beside_their_samples(ganrun, run, space):
    code, _, error = ganrun("neighbours", "run=run", f"space={space}", "count=3", "neighbours=4", *CHEAP)
    assert code == 0, error
    with Image.open(run / "samples" / f"neighbours_{space}_step_00000004_seed_0.png") as picture:
        assert picture.width / picture.height == pytest.approx(6 / 3, rel=0.02)  # with a gap
    assert "4 nearest of 1797 real images" in error


@pytest.mark.parametrize("model", ["bigan", "vaegan", "began", "ebgan"])
def test_reconstructions_are_drawn_below_their_images(ganrun, tmp_path, model):
    run = train(tmp_path / "run", *DIGITS, f"model={model}", *SMALL[model])
    code, _, error = ganrun("reconstruct", "run=run", "count=10", "columns=4")
    assert code == 0, error
    with Image.open(run / "samples" / "reconstructions_step_00000004.png") as picture:
        assert picture.width == pytest.approx(picture.height, rel=0.02)  # two rows of images, two of reconstructions
    assert "mean square error" in error


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([*DIGITS, "model=mlp", *SMALL["mlp"]], "AdversarialGame with these networks has no encoder"),
        (
            ["dataset=ring", *SMALL["toy"], *QUIET, "trainer.batch_size=8", "trainer.steps=2"],
            "this run is about points",
        ),
        (["dataset=single_image", *SMALL["singan"], *QUIET, "trainer.steps=1"], "SinGAN with these networks has no"),
    ],
)
def test_what_has_no_encoder_reconstructs_nothing(ganrun, tmp_path, overrides, told):
    train(tmp_path / "run", *overrides)
    code, _, error = ganrun("reconstruct", "run=run")
    assert code == 1
    assert told in error
    assert "Traceback" not in error


def test_interpolations(ganrun, run, tmp_path):
    code, _, error = ganrun("interpolate", "run=run", "rows=2", "columns=6")
    assert code == 0, error
    with Image.open(run / "samples" / "interpolation_spherical_step_00000004_seed_0.png") as picture:
        assert picture.width / picture.height == pytest.approx(3, rel=0.03)
    pictures = []
    for change in ("path=linear", "path=spherical", "path=spherical", "seed=1", "weights=raw", "truncation=0.2"):
        assert ganrun("interpolate", "run=run", "rows=2", change, "output=way.png")[0] == 0
        pictures.append((tmp_path / "way.png").read_bytes())
    assert pictures[1] == pictures[2]
    assert len(set(pictures)) == 5


@pytest.mark.parametrize("model", ["cgan", "infogan", "mlp"])
def test_every_game_with_a_latent_can_be_interpolated(ganrun, tmp_path, model):
    train(tmp_path / "run", *DIGITS, f"model={model}", *SMALL[model])
    code, _, error = ganrun("interpolate", "run=run", "rows=3", "columns=2")
    assert code == 0, error


def test_a_row_of_a_conditional_game_keeps_its_class(ganrun, tmp_path, monkeypatch):
    train(tmp_path / "run", *DIGITS, "model=cgan", *SMALL["cgan"])
    asked = []
    monkeypatch.setattr(
        Trained, "at", lambda self, z, classes, psi: asked.append(classes) or torch.zeros(len(z), 1, 8, 8)
    )
    assert ganrun("interpolate", "run=run", "rows=12", "columns=3")[0] == 0
    assert asked[0].unflatten(0, (12, 3)).tolist() == [[row % 10] * 3 for row in range(12)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluate"], "nothing to score was given. Give one of run=FOLDER"),
        (["evaluate", "run=nowhere"], "nowhere holds no run"),
        (["evaluate", "run=run"], "Choose one with evaluation=NAME: captions, codes"),
        (["evaluate", "run=run", "generated=x"], "run, generated were given together"),
        (["evaluate", "run=run", "evaluation=qick"], "Did you mean quick?"),
        (["evaluate", "run=run", "evaluation=points"], "needs 2-D points, but dataset provides images"),
        (["evaluate", "run=run", "evaluation=quick", "evaluation.sample=3"], "Did you mean samples?"),
        (["evaluate", "run=run", "evaluation=quick", "step=3"], "has no checkpoint of step 3; there are: 4"),
        (["evaluate", "run=run", "evaluation=quick", "step=best"], "no best checkpoint"),
        (["evaluate", "run=run", "evaluation=quick", "step=newest"], "step: must be"),
        (["evaluate", "run=run", "evaluation=quick", "dataset.size=16"], "The run makes images of shape 1x32x32"),
        (["evaluate", "run=run", "evaluation=quick", "dataset.sizes=16"], "Did you mean size?"),
        (["evaluate", "run=run", "dataset=ring"], "With run=FOLDER the run's own dataset is used"),
        (["evaluate", "runs=nowhere"], "holds no trained run"),
        (["evaluate", "generated=x"], "Choose them with dataset=NAME"),
        (["evaluate", "generated=x", "dataset=digits"], "x does not exist"),
        (["evaluate", "generated=run", "dataset=digits", "truncation=1"], "truncation: images that are there already"),
        (["evaluate", "run=run", *CHEAP, "output=run/config.yaml"], "does not hold scores that ganrun wrote"),
        (["neighbours"], "run: needs a value"),
        (["neighbours", "run=run"], "Choose one with evaluation=quick. Use space=pixels."),
        (["neighbours", "run=run", "space=latents"], "space: must be"),
        (["reconstruct", "run=run", "count=0"], "count: must be"),
        (["reconstruct", "run=nowhere"], "nowhere holds no run"),
        (["interpolate", "run=run", "columns=1"], "columns: must be a whole number at least 2"),
        (["interpolate", "run=run", "path=curved"], "path: must be"),
        (["interpolate", "run=nowhere"], "nowhere holds no run"),
        (["evalaute", "run=run"], "Did you mean evaluate?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_answered_by_one_message(ganrun, run, arguments, told):
    code, shown, error = ganrun(*arguments)
    assert code == 1
    assert told in error
    assert "Traceback" not in error
    assert shown == ""


def test_translators_are_scored_in_either_direction(ganrun, tmp_path):
    data = ["dataset=shapes", "dataset.goes_with=another_domain", "dataset.size=16", "dataset.count=80"]
    run = train(
        tmp_path / "run", *data, "model=cyclegan", *SMALL["cyclegan"], *QUIET, "trainer.batch_size=1",
        "trainer.steps=2", "evaluation=translation", "evaluation.samples=70", "evaluation.every_steps=1",
        "evaluation.metrics.cycle_error.images=5",
    )  # fmt: skip
    (first, last) = entries(run / "evaluation.json")
    tags = {"fid_random", "kid_random", "cycle_error"}
    assert set(last["lower_is_better"]) == {f"{tag}{of}" for tag in tags for of in ("", "_a_to_b", "_b_to_a")}
    assert set(last["scores"]) == set(last["lower_is_better"]) | {"kid_std_random_a_to_b", "kid_std_random_b_to_a"}
    for tag in tags:
        mean = (last["scores"][f"{tag}_a_to_b"] + last["scores"][f"{tag}_b_to_a"]) / 2
        assert last["scores"][tag] == pytest.approx(mean)
    assert (last["stamp"]["generated"], last["stamp"]["real"]) == (70, 80)
    assert '"metric/best_fid_random"' in (run / "metrics.jsonl").read_text()
    code, shown, error = ganrun("evaluate", "run=run")
    assert code == 0, error
    assert "fid_random_b_to_a" in shown
    (*_, again) = entries(run / "evaluation.json")
    assert again["stamp"] == last["stamp"]
    assert again["scores"] == pytest.approx(last["scores"])
    assert first["scores"] != last["scores"]
    for verb in ("neighbours", "interpolate"):
        code, _, error = ganrun(verb, "run=run", *(["evaluation=quick"] if verb != "interpolate" else []))
        assert code == 1
        assert "CycleGAN" in error
        assert "ganrun sample draws its pictures" in error


@pytest.mark.parametrize("verb", ["evaluate", "neighbours", "reconstruct", "interpolate", "truncation", "export"])
def test_help_and_mistakes_do_not_import_torch(tmp_path, verb):
    script = (
        "import sys\nfrom ganrun.cli import run\n"
        "codes = []\n"
        f"for arguments in (['{verb}', '--help'], ['{verb}', 'run=nowhere']):\n"
        "    try:\n        codes.append(run(arguments))\n"
        "    except SystemExit as leaving:\n        codes.append(leaving.code)\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\nassert not codes[0] and codes[1] == 1, codes\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"ganrun {verb} run=FOLDER" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_sums_of_latents_are_drawn(ganrun, run, tmp_path):
    """The picture's first row: the means of the terms and the sum."""
    code, _, error = ganrun("sample", "run=run", "numbered=true", "count=9")
    assert code == 0, error
    with Image.open(run / "samples" / "step_00000004_count_9_seed_0_numbered.png") as picture:
        assert picture.height > picture.width + 40  # captions
    drawn = []
    for expression in ("3", "3,7 - 4 + 5", "3,7 - 4 + 5", "3,7 + 4 - 5"):
        code, _, error = ganrun("sample", "run=run", f"arithmetic={expression}", "count=9", "output=sum.png")
        assert code == 0, error
        drawn.append((tmp_path / "sum.png").read_bytes())
    assert drawn[1] == drawn[2]
    assert len(set(drawn)) == 3
    loaded = load(run)
    z = loaded.latents(9, seed=0)
    asked = {"arithmetic": "3,7 - 4", "count": 9, "seed": 0, "truncation": None, "condition": None, "spread": 0.25}
    grid = sum_picture(loaded, asked)
    assert grid.columns == 3
    assert grid.captions[:3] == ("3,7", "- 4", "= sum")
    length = z.norm(dim=1).mean()
    for place, point in enumerate([z[3] + z[7], z[4], (z[3] + z[7]) / 2 - z[4]]):
        expected = loaded.at((point * length / point.norm())[None])
        assert torch.allclose(grid.images[place : place + 1], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "arguments", "told"),
    [
        ("mlp", ["arithmetic=1 - x"], "cannot be read from '- x' on"),
        ("mlp", ["arithmetic=1,64"], "names sample 64, and with count=64 there are 0 to 63"),
        ("mlp", ["arithmetic=1", "files=single"], "make one picture. Use files=grid"),
        ("infogan", ["arithmetic=1"], "InfoGAN has none, or some with parts that are no numbers"),
        ("cgan", ["arithmetic=1"], "needs a class for the pictures. Give condition=NUMBER"),
        ("cgan", ["arithmetic=1", "condition=10"], "the classes are 0 to 9"),
    ],
)
def test_sums_that_cannot_be_had(ganrun, tmp_path, model, arguments, told):
    train(tmp_path / "run", *DIGITS, f"model={model}", *SMALL[model])
    code, _, error = ganrun("sample", "run=run", *arguments)
    assert code == 1
    assert told in error
    assert "Traceback" not in error


def test_scores_at_several_truncations(ganrun, run):
    """A row of the table for each, each with a stamp of its own, remembered as by ganrun evaluate."""
    code, shown, error = ganrun("truncation", "run=run", *CHEAP, "values=[0.3,null]")
    assert code == 0, error
    lines = shown.splitlines()
    assert "truncation 0.3" in lines[0]
    assert lines[1].split()[:3] == ["truncation", "stamp", "fid_classifier"]
    assert [line.split()[0] for line in lines[2:]] == ["0.3", "none"]
    kept = entries(run / "evaluation.json")
    assert [entry["stamp"]["truncation"] for entry in kept] == [0.3, None]
    assert [line.split()[1] for line in lines[2:]] == [entry["stamp"]["hash"] for entry in kept]
    assert kept[0]["scores"] != kept[1]["scores"]
    with Image.open(run / "samples" / "truncation_step_00000004.png") as picture:
        assert picture.width > picture.height
    for truncation, entry in zip(("0.3", "null"), kept, strict=True):
        assert ganrun("evaluate", "run=run", *CHEAP, f"truncation={truncation}", "output=again.json")[0] == 0
        assert entries(run.parent / "again.json")[-1]["scores"] == entry["scores"]
    for values, told in (("[]", "values is empty"), ("[0]", "values"), ("[1,x]", "values")):
        code, _, error = ganrun("truncation", "run=run", *CHEAP, f"values={values}")
        assert code == 1
        assert told in error
        assert "Traceback" not in error


def test_latents_that_cannot_be_truncated_are_not_scored(ganrun, tmp_path):
    train(tmp_path / "run", *DIGITS, "model=infogan", *SMALL["infogan"])
    code, shown, error = ganrun("truncation", "run=run", *CHEAP)
    assert (code, shown) == (1, "")
    assert "of kind Coded" in error
