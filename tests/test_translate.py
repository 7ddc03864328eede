"""``ganrun translate`` and :meth:`ganrun.config.trained.Trained.translate`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_runs import QUIET, SMALL, game_overrides, play, two_domains  # noqa: F401  (fixtures)

import ganrun as package
from ganrun import cli
from ganrun.config.layouts import picture_of_layouts
from ganrun.config.translate import target_names
from ganrun.core.errors import RunError
from ganrun.games.base import Sides
from ganrun.networks.resnet_translator import Generator
from ganrun.sampling.translate import at_any_size

RUNS: dict[str, Path] = {}
PALETTE = {"background": (0, 0, 0), "circle": (230, 159, 0), "square": (86, 180, 233), "triangle": (204, 121, 167)}


@pytest.fixture
def run(tmp_path_factory, game_overrides):  # noqa: F811
    """The folder of a CycleGAN that was trained for two steps at 32 pixels; look only."""
    if "cyclegan" not in RUNS:
        RUNS["cyclegan"] = tmp_path_factory.mktemp("translators") / "run"
        play(RUNS["cyclegan"], *game_overrides("cyclegan"), "trainer.steps=2", "optimizer.generator.lr=0.01")
    return RUNS["cyclegan"]


@pytest.fixture
def maps_run(tmp_path_factory):
    """The folder of a pix2pix that makes shapes of label maps of 32 pixels; look only."""
    if "pix2pix" not in RUNS:
        RUNS["pix2pix"] = tmp_path_factory.mktemp("answers") / "run"
        data = ["dataset=shapes", "dataset.goes_with=maps", "dataset.size=32", "dataset.count=70", "model=pix2pix"]
        play(RUNS["pix2pix"], *data, *SMALL["pix2pix"], *QUIET, "trainer.steps=2", "model.generator.halvings=3")
    return RUNS["pix2pix"]


@pytest.fixture
def layouts(tmp_path):
    """One map, as numbers of classes and in colours, and one of another size."""
    folder = tmp_path / "maps"
    folder.mkdir()
    numbers = np.zeros((32, 32), dtype=np.uint8)
    numbers[4:12, 4:12], numbers[16:30, 10:20] = 1, 3
    colours = np.array(list(PALETTE.values()), dtype=np.uint8)
    Image.fromarray(numbers).save(folder / "numbers.png")
    Image.fromarray(colours[numbers]).save(folder / "colours.png")
    Image.fromarray(np.pad(numbers, ((0, 3), (0, 13)))).save(tmp_path / "wide.png")
    return folder


@pytest.fixture
def inputs(tmp_path):
    """Files of all kinds."""
    folder = tmp_path / "inputs"
    (folder / "deep" / "er").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, shape in {
        "whole.png": (32, 32, 3),
        "odd.png": (33, 47, 3),
        "odd.jpg": (33, 47, 3),
        "grey.png": (20, 40),
        "deep/transparent.png": (16, 24, 4),
        "deep/er/tiny.webp": (3, 5, 3),
    }.items():
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def files(folder: Path) -> dict[str, tuple[int, ...]]:
    return {str(path.relative_to(folder)): pixels(path).shape for path in folder.rglob("*") if path.is_file()}


def test_folders_keep_their_names_and_images_their_sizes(ganrun, run, inputs, tmp_path):
    before = {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
    code, _, error = ganrun("translate", f"run={run}", "input=inputs", "output=out", "direction=b_to_a")
    assert code == 0, error
    assert files(tmp_path / "out") == {
        "whole.png": (32, 32, 3),
        "odd.png": (33, 47, 3),
        "odd.jpg.png": (33, 47, 3),
        "grey.png": (20, 40, 3),
        "deep/transparent.png": (16, 24, 3),
        "deep/er/tiny.png": (3, 5, 3),
    }
    assert "6 images, b_to_a by step 2 -> out" in error
    assert {path: path.read_bytes() for path in before} == before
    loaded = package.load(run)
    image = torch.from_numpy(pixels(inputs / "whole.png").copy()).permute(2, 0, 1)[None] / 127.5 - 1
    expected = ((loaded.game.b_to_a(image).detach() + 1) * 127.5).round()[0].permute(1, 2, 0)
    assert np.abs(pixels(tmp_path / "out" / "whole.png") - expected.numpy()).max() <= 1


def test_an_archive_or_a_single_file_at_the_training_size_beside_its_input(ganrun, run, inputs, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in ("whole.png", "odd.png"):
            archive.write(inputs / name, f"some/{name}")
    shared = (f"run={run}", "size=training", "side_by_side=true")
    assert ganrun("translate", *shared, "input=in.zip", "output=out")[0] == 0
    assert files(tmp_path / "out") == {"some/whole.png": (32, 64, 3), "some/odd.png": (32, 64, 3)}
    both = pixels(tmp_path / "out" / "some" / "whole.png")
    assert np.array_equal(both[:, :32], pixels(inputs / "whole.png"))
    assert not np.array_equal(both[:, :32], both[:, 32:])
    code, _, error = ganrun("translate", *shared, "input=inputs/whole.png", "output=single")
    assert code == 0, error
    assert np.array_equal(pixels(tmp_path / "single" / "whole.png"), both)  # of a_to_b, too
    assert ganrun("translate", *shared, "input=out/some", "output=half", "half=left", "direction=a_to_b")[0] == 0
    assert np.array_equal(pixels(tmp_path / "half" / "whole.png"), both)


def test_what_cannot_be_read_is_named_and_the_rest_is_written(ganrun, run, inputs, tmp_path):
    (inputs / "broken.png").write_bytes(b"no image")
    (inputs / "cut.png").write_bytes((inputs / "odd.png").read_bytes()[:400])
    code, _, error = ganrun("translate", f"run={run}", "input=inputs", "output=out")
    assert code == 1
    assert "skipped broken.png: it holds no image" in error
    assert "skipped cut.png: it cannot be decoded (" in error
    assert "2 of 8 files were not translated (why is said above): broken.png, cut.png." in error
    assert len(files(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["output=inputs"], "inputs is where the inputs are. Give another folder"),
        (["output=inputs/deep/new"], "is where the inputs are"),
        (["input=inputs/odd.png", "output=inputs"], "is where the inputs are"),
        (["output=inputs/odd.png"], "is a file. Give a folder"),
        (["output=out", "direction=a_to_c"], "direction=a_to_c: this CycleGAN knows a_to_b, b_to_a"),
        (["output=out", "input=nowhere"], "nowhere does not exist"),
        (["output=out", "size=big"], "size: must be"),
        (["output=out", "step=7"], "has no checkpoint of step 7"),
        ([], "output: needs a value"),
    ],
)
def test_mistakes(ganrun, run, inputs, tmp_path, asked, told):
    code, _, error = ganrun("translate", f"run={run}", *(asked if "input=" in str(asked) else ["input=inputs", *asked]))
    assert code == 1
    assert told in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
    assert len([path for path in inputs.rglob("*") if path.is_file()]) == 6


def test_one_file_may_lie_where_its_output_goes_under_another_name(ganrun, run, inputs):
    assert ganrun("translate", f"run={run}", "input=inputs/odd.jpg", "output=inputs/deep")[0] == 0
    assert (inputs / "deep" / "odd.png").is_file()


def test_no_memory_is_told(ganrun, run, inputs, monkeypatch):
    def hungry(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ganrun.games.cyclegan.CycleGAN.translate", hungry)
    code, _, error = ganrun("translate", f"run={run}", "input=inputs/odd.png", "output=out")
    assert code == 1
    assert "skipped odd.png: there is not enough memory for 47x33 pixels. Make it smaller" in error


def test_games_that_translate_nothing_say_so(ganrun, tmp_path, inputs):
    play(tmp_path / "run", "dataset.subset=32", "trainer.steps=1", "evaluation=none", "trainer.device=cpu")
    code, _, error = ganrun("translate", "run=run", "input=inputs", "output=out")
    assert code == 1
    assert "AdversarialGame turns no images into others. ganrun sample draws its pictures." in error


def test_label_maps_are_translated_whatever_they_are_painted_in(ganrun, maps_run, layouts, tmp_path):
    code, _, error = ganrun("translate", f"run={maps_run}", "input=maps", "output=out", "side_by_side=true")
    assert code == 0, error
    assert "2 images, source_to_target by step 2" in error
    left = [pixels(tmp_path / "out" / name)[:, :32] for name in ("numbers.png", "colours.png")]
    assert np.array_equal(left[0], pixels(layouts / "colours.png"))
    assert np.array_equal(left[0], left[1])
    for size, shape in (("keep", (35, 45, 3)), ("training", (32, 32, 3))):
        code, _, error = ganrun("translate", f"run={maps_run}", "input=wide.png", "output=out", f"size={size}")
        assert code == 0, error
        assert pixels(tmp_path / "out" / "wide.png").shape == shape


def test_colours_of_no_class_are_told_with_those_of_the_run(ganrun, maps_run, tmp_path):
    Image.new("RGB", (32, 32), (255, 255, 255)).save(tmp_path / "white.png")
    Image.new("L", (32, 32), 4).save(tmp_path / "four.png")
    for name, told in (("white", "it has the colour (255, 255, 255) (1,024 pixels)"), ("four", "it has the class 4")):
        for verb in (["translate", f"input={name}.png", "output=out"], ["sample", f"layout={name}.png"]):
            code, _, error = ganrun(verb[0], f"run={maps_run}", *verb[1:])
            assert code == 1
            assert f"{name}.png: {told}" in error
            assert "classes and their colours: 0 background (0, 0, 0), 1 circle (230, 159, 0), 2 square" in error
            assert "dataset.palette" not in error


def test_samples_of_layouts(ganrun, maps_run, layouts, tmp_path):
    code, _, error = ganrun("sample", f"run={maps_run}", "layout=maps", "count=3", "output=rows.png")
    assert code == 0, error
    assert "8 samples of step 2" in error  # layouts included
    rows = pixels(tmp_path / "rows.png")
    assert rows.shape[1] / rows.shape[0] == pytest.approx(2, rel=0.03)
    loaded = package.load(maps_run)
    settings = {
        "layout": "maps/numbers.png",
        "count": 12,
        "seed": 0,
        "truncation": None,
        "condition": None,
        "text": None,
        "style": None,
    }
    grid = picture_of_layouts(loaded, settings | {"layout": str(layouts / "numbers.png")})
    assert (len(grid.images), grid.columns) == (14, 7)
    assert torch.equal(grid.images[0], grid.images[7])
    colours = torch.from_numpy(pixels(layouts / "colours.png").copy()).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(grid.images[0], colours, atol=1e-6)
    assert not torch.equal(grid.images[1], grid.images[2])  # dropout


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["layout=wide.png"], "wide.png is 45x35, and the run's label maps are 32x32"),
        (["layout=nowhere.png"], "nowhere.png does not exist"),
        (["layout=maps", "condition=2"], "Leave condition out"),
        (["layout=maps", "text=a circle"], "Leave text out"),
        (["layout=maps", "files=single"], "ganrun translate writes single files"),
        (["layout=maps", "count=0"], "count: must be"),
    ],
)
def test_mistakes_with_layouts(ganrun, maps_run, layouts, asked, told):
    code, _, error = ganrun("sample", f"run={maps_run}", *asked)
    assert code == 1
    assert told in error
    assert "Traceback" not in error


def test_layouts_are_for_models_of_label_maps(ganrun, run, layouts):
    code, _, error = ganrun("sample", f"run={run}", "layout=maps")
    assert code == 1
    assert "CycleGAN takes no label maps. Leave layout out." in error


def test_answers_are_scored_against_their_truths(ganrun, maps_run, tmp_path):
    shutil.copytree(maps_run, tmp_path / "copy")
    code, shown, error = ganrun("evaluate", "run=copy", "evaluation=pairs")
    assert code == 0, error
    for tag in ("fid_random", "kid_random", "kid_std_random", "translation_error", "psnr"):
        assert tag in shown
    assert "70 generated, 70 real" in shown
    code, shown, error = ganrun("evaluate", "run=copy", "evaluation=translation")
    assert code == 0, error
    assert "cycle_error" not in shown
    assert "no cycle_error: what made these samples has no way back" in error


def test_maps_in_python(maps_run):
    loaded = package.load(maps_run)
    assert loaded.directions == ("source_to_target",)
    maps = torch.randint(4, (2, 20, 33))
    assert loaded.translate(maps, seed=0).shape == (2, 3, 20, 33)
    assert torch.equal(loaded.translate(maps, seed=0), loaded.translate(maps, seed=0))
    assert not torch.equal(loaded.translate(maps, seed=0), loaded.translate(maps, seed=1))
    for mistake, told in [
        (lambda: loaded.translate(maps, "b_to_a"), "direction=b_to_a: this Pix2Pix knows source_to_target"),
        (lambda: loaded.translate(maps + 2), "0 to 3"),
        (lambda: loaded.translate(maps.float()), "label maps of int64, not torch.float32"),
        (lambda: loaded.translate(maps[:, None]), r"\[count, height, width\], not \[2, 1, 20, 33\]"),
    ]:
        with pytest.raises(RunError, match=told):
            mistake()


def test_names_stay_apart():
    assert target_names(dict.fromkeys(["a.png", "a.jpg", "b.jpg", "c/a.webp", "d.gif", "d.bmp"])) == {
        "a.png": "a.png",
        "a.jpg": "a.jpg.png",
        "b.jpg": "b.png",
        "c/a.webp": "c/a.png",
        "d.gif": "d.gif.png",
        "d.bmp": "d.bmp.png",
    }


def test_in_python(run):
    loaded = package.load(run)
    assert loaded.directions == ("a_to_b", "b_to_a")
    images = torch.rand(3, 3, 30, 41) * 2 - 1
    there = loaded.translate(images)
    assert there.shape == images.shape
    assert not there.requires_grad
    assert torch.equal(there, loaded.translate(images, "a_to_b"))
    assert not torch.equal(there, loaded.translate(images, "b_to_a"))
    suitable = torch.rand(2, 3, 32, 40) * 2 - 1
    assert torch.allclose(loaded.translate(suitable), loaded.game.a_to_b(suitable).detach(), atol=1e-6)
    for mistake, told in [
        (lambda: loaded.translate(images, "there"), "knows a_to_b, b_to_a"),
        (lambda: loaded.translate(images[0]), r"\[count, 3, height, width\], not \[3, 30, 41\]"),
        (lambda: loaded.translate(images[:, :1]), r"not \[3, 1, 30, 41\]"),
        (lambda: loaded.translate(images[:0]), r"not \[0, 3, 30, 41\]"),
        (lambda: loaded.translate((images * 100).long()), r"floats in \[-1, 1\], not torch.int64"),
    ]:
        with pytest.raises(RunError, match=told):
            mistake()


def test_exported_translators_do_the_same(ganrun, run, inputs, tmp_path):
    assert ganrun("export", f"run={run}", "output=exported")[0] == 0
    for who in (run, "exported"):
        name = Path(who).name
        code, _, error = ganrun(
            "translate", f"run={who}", "input=inputs/odd.png", f"output={name}", "size=training", "device=cpu"
        )
        assert code == 0, error
    assert np.array_equal(pixels(tmp_path / "run" / "odd.png"), pixels(tmp_path / "exported" / "odd.png"))


@pytest.mark.parametrize("size", [(7, 9), (8, 12), (13, 10), (1, 1)])
def test_what_is_added_is_cut_off_again(size):
    seen = []

    def twice(images):
        seen.append(tuple(images.shape[-2:]))
        return images * 2 if images.ndim == 4 else images[:, None] * 2

    images = torch.randn(2, 3, *size)
    assert torch.equal(at_any_size(twice, images, Sides(multiple=4, least=8)), images * 2)
    assert all(side % 4 == 0 and side >= 8 for side in seen[0])
    assert max(seen[0]) < 20
    maps = torch.randint(5, (2, *size))
    answers = at_any_size(twice, maps, Sides(multiple=4, least=8))
    assert torch.equal(answers[:, 0], maps * 2)
    assert torch.equal(at_any_size(twice, images, None), images * 2)
    assert seen[-1] == size


def test_networks_of_fixed_size_take_no_other(run, monkeypatch):
    loaded = package.load(run)
    monkeypatch.delattr(Generator, "multiple")
    assert loaded.game.sides() is None
    assert loaded.translate(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)
    with pytest.raises(RunError, match="takes images of 32x32 only, not 24x16"):
        loaded.translate(torch.zeros(1, 3, 16, 24))


def test_help_and_mistakes_do_not_import_torch(tmp_path):
    script = (
        "import sys\nfrom ganrun.cli import run\n"
        "codes = []\n"
        "for arguments in (['translate', '--help'], ['translate', 'run=nowhere']):\n"
        "    try:\n        codes.append(run(arguments))\n"
        "    except SystemExit as leaving:\n        codes.append(leaving.code)\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\nassert not codes[0] and codes[1] == 1, codes\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ganrun translate run=FOLDER input=DIR output=DIR" in done.stdout


def test_samples_in_the_style_of_an_image(ganrun, maps_run, layouts, game_overrides, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    play(run, *game_overrides("gaugan_style"), "trainer.steps=2", "optimizer.generator.lr=0.01")
    for name, seed in (("dark", 0), ("bright", 230)):
        noise = np.random.default_rng(seed).integers(0, 25, (48, 40, 3), dtype=np.uint8)
        Image.fromarray(noise + np.uint8(seed)).save(tmp_path / f"{name}.png")
    made = {}
    for style in ("dark", "bright"):
        for seed in (0, 1):
            output = f"{style}{seed}.png"
            asked = ["layout=maps", f"style={style}.png", "count=2", f"seed={seed}", f"output={output}"]
            code, _, error = ganrun("sample", f"run={run}", *asked)
            assert code == 0, error
            made[output] = (tmp_path / output).read_bytes()
    assert made["dark0.png"] == made["dark1.png"] != made["bright0.png"]
    code, _, error = ganrun("sample", f"run={run}", "style=dark.png", "count=3")
    assert code == 0, error
    for asked, told in (("maps", "holds 2 images"), ("nowhere.png", "nowhere.png does not exist")):
        code, _, error = ganrun("sample", f"run={run}", f"style={asked}", "count=1")
        assert (code, told in error) == (1, True), error
    code, _, error = ganrun("sample", f"run={maps_run}", "style=dark.png", "count=1")
    assert (code, "Pix2Pix cannot be sampled with style" in error) == (1, True), error
