"""Whole runs through configuration, engine and folder: every YAML, exact resume of every game, stops, errors."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ganrun.config import launch
from ganrun.config.load import load_game, truncated
from ganrun.config.origin import Origin
from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.sample import sample
from ganrun.config.validate import validate
from ganrun.core.errors import ConfigError, GanrunError, RunError
from ganrun.engine.checkpoint import read_checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook
from ganrun.sweep.ledger import Ledger

CONF = conf_folder()
RESNET = [  # for a size of 8 pixels, which has no published layout
    *("dataset.size=8", "+model.generator.widths.8=[4,4]", "+model.discriminator.widths.8=[4,4]"),
    *("+model.discriminator.halvings.8=1", "model.latent.size=8"),
]
BIGGAN = [
    *("dataset.size=8", "model.generator.width=4", "model.latent.size=8", "+model.discriminator.halvings.8=1"),
    *("+model.generator.multipliers.8=[2,2]", "+model.generator.attention.8=[8]"),
    *("+model.discriminator.multipliers.8=[2,2]", "+model.discriminator.attention.8=[4]"),
]
GAUGAN = [
    *("model.generator.width=4", "model.generator.stages=[2,1]", "model.generator.hidden=4"),
    *("model.discriminator.width=4", "model.discriminator.layers=1"),
]
SMALL = {
    "dcgan": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "dcgan_small": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "cgan": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "acgan": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "ebgan": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "began": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "vaegan": [
        *("dataset.size=8", "model.latent.size=8", "model.generator.first_width=4", "model.generator.widths=[4,4,4]"),
        *("model.encoder.widths=[4,4,4]", "model.encoder.hidden=8"),
        *("model.discriminator.first_width=4", "model.discriminator.widths=[4,4,4]", "model.discriminator.hidden=8"),
    ],
    "bigan": [
        *("model.generator.widths=[16,16]", "model.encoder.widths=[16,16]", "model.discriminator.widths=[16,16]"),
        "model.latent.size=8",
    ],
    "bigan_dcgan": [
        *("model.generator.width=4", "model.encoder.width=4", "model.discriminator.width=4", "model.latent.size=8"),
        *("model.discriminator.latent_width=8", "model.discriminator.joint_widths=[8]"),
    ],
    "ali": [
        *("dataset.size=32", "model.generator.width=4", "model.encoder.width=4", "model.discriminator.width=4"),
        *("model.latent.size=8", "model.generator.init_std=0.2"),  # so narrow, it would start constant
    ],
    "resnet": [
        *("model.generator.width=4", "model.generator.max_width=8", "model.discriminator.width=4"),
        *("model.discriminator.max_width=8", "model.latent.size=8"),
    ],
    "sngan": RESNET,
    "cgan_projection": RESNET,
    "wgan_gp_resnet": RESNET,
    "wgan_gp_resnet64": RESNET,
    "sngan_cnn": ["model.generator.width=4", "model.discriminator.width=4", "model.latent.size=8"],
    "r3gan": [
        *("dataset.size=8", "+model.generator.widths.8=[4,4]", "model.latent.size=8"),
        *("model.generator.group_width=4", "model.discriminator.group_width=4"),
    ],
    "sagan": BIGGAN,
    "biggan": BIGGAN,
    "biggan_deep": BIGGAN,
    "stylegan2": [
        *("dataset.size=8", "model.latent.size=8", "model.generator.style_size=8", "model.generator.mapping_layers=1"),
        *("model.generator.base_width=32", "model.generator.max_width=4"),
    ],
    "mlp": ["model.generator.widths=[16,16]", "model.discriminator.widths=[16]"],
    "toy": ["model.generator.widths=[16]", "model.discriminator.widths=[16]"],
    "ebgan_toy": ["model.generator.widths=[16]", "model.discriminator.widths=[16,2]"],
    "infogan": [
        *("model.generator.width=4", "model.generator.hidden=16", "model.discriminator.width=4"),
        *("model.discriminator.hidden=16", "model.discriminator.code_hidden=8"),
    ],
    "cyclegan": [
        *("model.generator.width=4", "model.generator.blocks=1", "model.pool_size=3"),
        *("model.discriminator.width=4", "model.discriminator.layers=1"),
    ],
    "ganilla": [
        *("model.generator.widths=[4,4,4,8]", "model.generator.blocks=[1,1,1,1]", "model.generator.pyramid_width=4"),
        *("model.discriminator.width=4", "model.discriminator.layers=1", "model.pool_size=3"),
    ],
    "nicegan": [
        *("model.generator.width=4", "model.generator.blocks=1", "model.discriminator.width=4"),
        *("model.discriminator.local_halvings=0", "model.discriminator.global_halvings=1"),
    ],
    "singan": ["model.max_size=40", "model.width=4"],
    "gaugan": GAUGAN,
    "gaugan_style": [
        *GAUGAN,
        *("model.latent.size=8", "model.encoder.width=4", "model.encoder.multipliers=[1,2]", "model.encoder.side=16"),
    ],
    "pix2pix": ["model.generator.width=4", "model.discriminator.width=4", "model.discriminator.layers=1"],
    "lapgan": [
        *("dataset.size=8", "model.levels=[5,8]", "model.latent_size=8", "model.generator_coarsest.widths=[16]"),
        *("model.discriminator_coarsest.widths=[16]", "model.generator.width=4", "model.discriminator.width=4"),
        "model.discriminator.kernel=3",
    ],
    "stackgan": [
        *("model.reduction=2", "model.latent.size=8", "model.generator.width=8", "model.generator.condition_size=8"),
        *("model.refiner.width=8", "model.refiner.condition_size=8", "model.refiner.blocks=1"),
        *("model.discriminator.width=4", "model.discriminator.condition_size=8"),
    ],
}
POOLED = ("cyclegan", "ganilla")
TRANSLATORS = (*POOLED, "nicegan")
ALONE = (*TRANSLATORS, "singan")  # learn from one image of a kind at a time
SHAPES = ["dataset=shapes", "dataset.size=16", "dataset.count=32"]
STAGED = ("singan", "stackgan")
SHARED_SLOWLY = ("bigan", "biggan", "gaugan_style", "lapgan", "nicegan", "pix2pix", "stackgan", "stylegan2")
QUIET = ["evaluation=none", "trainer.picture_samples=4", "trainer.log_every_steps=1", "trainer.device=cpu"]


def config_of(*overrides: str) -> dict[str, Any]:
    """The resolved configuration of a command line, as ``ganrun`` would hand it to the launcher."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    final = OmegaConf.to_container(config, resolve=True)
    assert isinstance(final, dict)
    final.pop("hydra", None)
    validate(final)
    return final


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.fixture(scope="session")
def two_domains(tmp_path_factory) -> Path:
    """Two folders of small pictures, bright and dark."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("two_domains")
    generator = torch.Generator().manual_seed(0)
    for domain, level in (("trainA", 60), ("trainB", 190)):
        (folder / domain).mkdir()
        for number in range(5):
            pixels = (torch.rand(32, 32, 3, generator=generator) * 60 + level).to(torch.uint8)
            Image.fromarray(pixels.numpy()).save(folder / domain / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of small pictures in two classes."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    for number in range(8):
        place = folder / ("even" if number % 2 == 0 else "odd")
        place.mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (number * 30, 100, 255 - number * 30)).save(place / f"{number}.png")
    return folder


@pytest.fixture
def game_overrides(two_domains):
    """Overrides that make a model small and give it suitable data."""

    def overrides(model: str) -> list[str]:
        data = {
            "toy": ["dataset=ring"],
            "ebgan_toy": ["dataset=ring", "model=ebgan_toy"],
            "cyclegan": ["dataset=unpaired", f"dataset.path={two_domains}", "dataset.size=32"],
            "ganilla": ["dataset=unpaired", f"dataset.path={two_domains}", "dataset.size=32", "model=ganilla"],
            "nicegan": ["dataset=unpaired", f"dataset.path={two_domains}", "dataset.size=32", "model=nicegan"],
            "singan": ["dataset=single_image"],
            "gaugan": ["dataset=shapes", "dataset.goes_with=maps", "dataset.count=20", "model=gaugan"],
            "gaugan_style": [
                *("dataset=label_maps", f"dataset.path={two_domains}", "dataset.size=32", "dataset.palette=facades"),
                *("dataset.tolerance=null", "model=gaugan_style"),
            ],
            "pix2pix": ["dataset=paired", f"dataset.path={two_domains}", "dataset.size=32"],
            "stackgan": [*SHAPES, "dataset.goes_with=texts", "model=stackgan"],
        }.get(model, ["dataset=digits", "dataset.subset=64", f"model={model}"])
        return [*data, *SMALL[model], *QUIET, "trainer.batch_size=" + ("1" if model in ALONE else "8")]

    return overrides


def play(folder: Path, *overrides: str) -> dict[str, Any]:
    """Train and return the last checkpoint."""
    launch.train(config_of(*overrides), folder, Origin(list(overrides)))
    return read_checkpoint(sorted((folder / "checkpoints").glob("step_*.pt"))[-1])


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def result(state: dict[str, Any]) -> dict[str, Any]:
    """What two runs must agree on."""
    return {key: state[key] for key in ("step", "stage", "position", "finished", "game", "players")}


@pytest.mark.parametrize("loss", [name for name in options("loss") if "singan" not in name])
def test_every_loss_plays(tmp_path, game_overrides, loss):
    model = {"ebgan": "ebgan", "began": "began", "matching_aware": "cgan"}.get(loss, "dcgan")
    state = play(tmp_path, *game_overrides(model), f"loss={loss}", "trainer.steps=2")
    assert state["step"] == 2
    if loss == "wgan":
        weights = [v for k, v in state["game"].items() if k.startswith("discriminator") and v.ndim == 4]
        assert max(weight.abs().max() for weight in weights) <= 0.01


@pytest.mark.parametrize("model", sorted(SMALL))
def test_every_model_plays_and_leaves_pictures(tmp_path, game_overrides, model):
    state = play(tmp_path, *game_overrides(model), "trainer.steps=2")
    assert state["step"] >= 2
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "finished"
    assert list((tmp_path / "samples").glob("*.png"))
    logged = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert any(tag.startswith("loss/generator/") for tag in logged)
    assert any(tag.startswith("gradient_norm/") for tag in logged)


def test_every_model_is_covered():
    assert sorted(SMALL) == options("model")


@pytest.mark.parametrize("technique", options("technique"))
def test_every_technique_plays(tmp_path, game_overrides, technique):
    model = "stylegan2" if technique == "path_length" else "dcgan"
    assert play(tmp_path, *game_overrides(model), f"technique=[{technique}]", "trainer.steps=2")["step"] == 2


def test_conditional_mlp_plays(tmp_path, game_overrides):
    assert play(tmp_path, *game_overrides("mlp"), "model.conditional=true", "trainer.steps=2")["step"] == 2


@pytest.mark.parametrize("optimizer", options("optimizer"))
def test_every_optimizer_plays(tmp_path, game_overrides, optimizer):
    assert play(tmp_path, *game_overrides("mlp"), f"optimizer={optimizer}", "trainer.steps=2")["step"] == 2


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_recipe_plays(tmp_path, game_overrides, experiment):
    """With the recipe's own numbers, but for the size of its networks and its data."""
    path = CONF / "experiment" / f"{experiment}.yaml"
    assert f"ganrun experiment={experiment}" in path.read_text()  # the header names the command
    with initialize_config_dir(str(CONF), version_base="1.3"):
        choices = compose("config", [f"experiment={experiment}"], return_hydra_config=True).hydra.runtime.choices
    model = choices["model"]
    data = [override for override in game_overrides(model) if not override.startswith("model=")]
    assert play(tmp_path, f"experiment={experiment}", *data, "trainer.steps=2")["step"] >= 2


@pytest.mark.slow
def test_the_small_stylegan2_learns(tmp_path):
    """Measured: 251 at the start, 159 after 300 steps, 127 after 600 (docs/results/stylegan2.md)."""
    scores = []
    for steps in (1, 450):
        folder = tmp_path / str(steps)
        overrides = ["experiment=stylegan2_digits", "evaluation.every_steps=0", "evaluation.samples=1000"]
        launch.train(config_of(*overrides, "trainer.device=cpu", f"trainer.steps={steps}"), folder, Origin())
        scores.append(json.loads((folder / "evaluation.json").read_text())[-1]["scores"]["fid_classifier"])
    assert scores[1] < 0.75 * scores[0]


@pytest.mark.parametrize("group", ["dataset", "dataset/encoder", "evaluation", "debug", "trainer"])
def test_every_option_composes(group):
    data = {"points": "ring", "translation": "unpaired", "pairs": "paired", "single_image": "single_image"}
    for option in options(group):
        path = ["dataset.encoder.path=x"] if option == "from_file" else []
        chosen = [f"dataset={data.get(option, 'shapes')}"] if group in ("dataset/encoder", "evaluation") else []
        config_of(*chosen, f"{group}={option}", *path)


@pytest.mark.parametrize(
    ("model", "goes_with", "tags"),
    [
        ("pix2pix", "maps", {"segmentation_agreement", "segmentation_iou"}),
        ("stackgan", "texts", {"caption_retrieval"}),
    ],
)
def test_whether_answers_show_what_was_asked_for(tmp_path, model, goes_with, tags):
    """By networks of one epoch, on data of which there are too few for FID."""
    networks = {
        "maps": ["evaluation=label_maps", "evaluation.metrics.segmentation_agreement.segmenter.epochs=1"],
        "texts": ["evaluation=captions", "evaluation.metrics.caption_retrieval.matcher.epochs=1"],
    }[goes_with]
    data = [*SHAPES, "dataset.count=48", f"dataset.goes_with={goes_with}", f"model={model}"]
    quiet = [*QUIET[1:], "evaluation.samples=32", "trainer.batch_size=8", "trainer.steps=1"]
    play(tmp_path, *data, *SMALL[model], *networks, *quiet)
    scores = json.loads((tmp_path / "evaluation.json").read_text())[-1]["scores"]
    assert tags == {tag for tag in scores if "random" not in tag}
    assert all(0 <= scores[tag] <= 1 for tag in tags)


@pytest.mark.parametrize("model", POOLED)
def test_an_average_is_of_both_translators(tmp_path, game_overrides, model):
    state = play(tmp_path, *game_overrides(model), "technique=[ema]", "trainer.steps=4", "optimizer.generator.lr=0.01")
    averaged, last = (load_game(state, None, weights, "cpu") for weights in ("ema", "raw"))
    for name in ("a_to_b", "b_to_a"):
        one, other = (list(getattr(game, name).parameters()) for game in (averaged, last))
        assert not any(torch.equal(mean, latest) for mean, latest in zip(one, other, strict=True))


def test_averaged_decoders_come_with_averaged_encoders(tmp_path, game_overrides):
    average = ["technique=[ema]", "player.discriminator.ema=${player.generator.ema}"]
    state = play(tmp_path, *game_overrides("nicegan"), *average, "trainer.steps=3")
    averaged, last = (load_game(state, None, weights, "cpu") for weights in ("ema", "raw"))
    for name in ("a_to_b", "discriminator_a.encoder.layers"):
        one, other = (list(game.get_submodule(name).parameters()) for game in (averaged, last))
        assert not any(torch.equal(mean, latest) for mean, latest in zip(one, other, strict=True))


@pytest.mark.parametrize("model", sorted(SMALL))
def test_every_game_resumes_exactly(tmp_path, game_overrides, model):
    """Stopped inside the first stage and, where there is a later one, between the two and inside that."""
    overrides = [*game_overrides(model), "trainer.checkpoint_every_steps=1", "trainer.keep_checkpoints=99"]
    whole = play(tmp_path / "whole", *overrides, "trainer.steps=4")
    for step in (3, 4, 7) if model in STAGED else (3,):
        parts = tmp_path / f"parts{step}"
        (parts / "checkpoints").mkdir(parents=True)
        name = f"step_{step:08d}.pt"
        (parts / "checkpoints" / name).write_bytes((tmp_path / "whole" / "checkpoints" / name).read_bytes())
        assert same(result(play(parts, *overrides, "trainer.steps=4")), result(whole))


def test_terms_with_a_memory_resume_exactly(tmp_path, game_overrides):
    terms = "technique=[lecam,historical_averaging,lazy_r1]"
    start = "loss.discriminator_terms.lecam.start_step=1"
    overrides = [*game_overrides("mlp"), terms, start, "trainer.checkpoint_every_steps=3", "trainer.keep_checkpoints=9"]
    whole = play(tmp_path / "whole", *overrides, "trainer.steps=6")
    name = "step_00000003.pt"
    for forget in (None, "total_real", "mean_0"):
        parts = tmp_path / str(forget)
        (parts / "checkpoints").mkdir(parents=True)
        state = read_checkpoint(tmp_path / "whole" / "checkpoints" / name)
        if forget is not None:
            drop(state, forget)
        torch.save(state, parts / "checkpoints" / name)
        assert same(result(play(parts, *overrides, "trainer.steps=6")), result(whole)) == (forget is None)


@pytest.mark.parametrize(
    ("model", "technique", "changes"),
    [
        ("dcgan", "ada", ["augment.ada.initial_probability=0.5", "augment.ada.interval_moves=1"]),
        *(("dcgan", name, []) for name in ("spectral_norm", "virtual_batch_norm", "ensemble", "merged")),
        ("stylegan2", "path_length", ["loss.generator_terms.path_length.every_steps=1"]),
    ],
)
def test_techniques_that_remember_resume_exactly(tmp_path, game_overrides, model, technique, changes):
    overrides = [*game_overrides(model), f"technique=[{technique}]", *changes, "trainer.steps=4"]
    whole = play(tmp_path / "whole", *overrides, "trainer.checkpoint_every_steps=1", "trainer.keep_checkpoints=99")
    (tmp_path / "parts" / "checkpoints").mkdir(parents=True)
    shutil.copy(tmp_path / "whole" / "checkpoints" / "step_00000003.pt", tmp_path / "parts" / "checkpoints")
    assert same(result(play(tmp_path / "parts", *overrides)), result(whole))


def drop(state: dict[str, Any], name: str) -> None:
    for key, value in state["game"].items():
        if name in key:
            value.zero_()


@pytest.mark.parametrize(
    ("model", "part"),
    [("cyclegan", "pool"), ("singan", "amplitude"), ("infogan", "running_mean"), ("began", "adversarial.k")],
)
def test_resume_needs_the_games_own_memory(tmp_path, game_overrides, model, part):
    overrides = [*game_overrides(model), "trainer.checkpoint_every_steps=3", "trainer.steps=6"]
    whole = play(tmp_path / "whole", *overrides)
    state = read_checkpoint(tmp_path / "whole" / "checkpoints" / "step_00000003.pt") if model != "singan" else None
    if state is None:
        state = read_checkpoint(sorted((tmp_path / "whole" / "checkpoints").glob("*.pt"))[-2])
    assert any(part in key for key in state["game"])
    drop(state, part)
    (tmp_path / "parts" / "checkpoints").mkdir(parents=True)
    torch.save(state, tmp_path / "parts" / "checkpoints" / f"step_{state['step']:08d}.pt")
    assert not same(result(play(tmp_path / "parts", *overrides)), result(whole))


def test_evaluation_does_not_change_training_and_names_its_extractor(tmp_path, game_overrides):
    overrides = [o for o in game_overrides("dcgan") if not o.startswith("evaluation") and "subset" not in o]
    scored = play(
        tmp_path / "scored",
        *overrides,
        "trainer.steps=4",
        "evaluation.every_steps=2",
        "evaluation.samples=100",
        "evaluation.features.classifier.epochs=1",
    )
    plain = play(tmp_path / "plain", *overrides, "trainer.steps=4", "evaluation=none")
    assert same(result(scored), result(plain))
    lines = [json.loads(line) for line in (tmp_path / "scored" / "metrics.jsonl").read_text().splitlines()]
    scores = {tag for line in lines for tag in line if tag.startswith("metric/")}
    named = ["fid", "best_fid", "inception_score", "inception_score_std"]
    assert scores == {f"metric/{name}_classifier" for name in named}
    assert scored["best"]["metric"] == "fid_classifier"
    kept = json.loads((tmp_path / "scored" / "evaluation.json").read_text())
    assert [(entry["step"], entry["stamp"]["extractor"], entry["stamp"]["weights"]) for entry in kept] == [
        (2, "classifier", "ema"),
        (4, "classifier", "ema"),
    ]
    assert kept[-1]["scores"].keys() == {
        f"{name}_classifier" for name in ("fid", "inception_score", "inception_score_std")
    }
    assert (tmp_path / "scored" / "checkpoints" / f"step_{scored['best']['step']:08d}.pt").exists()


def test_standing_statistics_serve_all_sampling_and_leave_training_alone(tmp_path, game_overrides):
    few = "trainer.standing_batches=2"
    overrides = [*game_overrides("biggan"), "trainer.steps=3"]
    plain = play(tmp_path / "plain", *overrides)
    state = play(tmp_path / "standing", *overrides, "technique=[standing_statistics]", few)
    assert same(result(state), result(plain))

    def means(state: dict[str, Any], truncation: float | None = None) -> dict[str, torch.Tensor]:
        game = load_game(state, None, "ema")
        with truncated(game, truncation, state["config"]):
            return {name: buffer.clone() for name, buffer in game.named_buffers() if "running_mean" in name}

    averages, standing = means(plain), means(state)
    assert averages.keys() == standing.keys()
    assert not any(torch.equal(averages[name], standing[name]) for name in averages)
    assert same(standing, means(state))
    assert not same(standing, means(state, truncation=0.5))


def test_conditional_game_samples_every_class(tmp_path, game_overrides):
    play(tmp_path, *game_overrides("cgan"), "trainer.steps=2")
    from PIL import Image

    wide = []
    for condition in (None, 3):
        with Image.open(sample(settings(tmp_path, count=20, condition=condition))) as picture:
            wide.append(picture.width / picture.height)
    assert wide[0] < 0.3  # ten rows, two columns
    assert wide[1] == pytest.approx(4 / 5, rel=0.05)


def settings(run: Path, **changes: Any) -> dict[str, Any]:
    values = OmegaConf.to_container(OmegaConf.load(CONF / "sample.yaml"))
    assert isinstance(values, dict)
    del values["hydra"], values["defaults"]
    return values | {"run": str(run)} | changes


@pytest.mark.parametrize("model", sorted(SMALL))
def test_every_game_can_be_sampled(tmp_path, game_overrides, model):
    play(tmp_path, *game_overrides(model), "trainer.steps=20")  # batch norm must have seen something
    one, again, other = (
        sample(settings(tmp_path, count=5, seed=seed, output=str(tmp_path / f"{name}.png"))).read_bytes()
        for name, seed in (("one", 1), ("again", 1), ("other", 2))
    )
    assert one == again
    assert (one != other) == (model not in (*TRANSLATORS, "gaugan"))  # these have no latent


def test_single_files_truncation_and_sizes(tmp_path, game_overrides):
    play(tmp_path / "dcgan", *game_overrides("dcgan"), "trainer.steps=1")
    folder = sample(settings(tmp_path / "dcgan", count=70, files="single", truncation=0.5))
    assert len(list(folder.glob("*.png"))) == 70
    play(tmp_path / "singan", *game_overrides("singan"), "trainer.steps=1")
    from PIL import Image

    sizes = []
    for width in (1.0, 1.5):
        place = sample(
            settings(tmp_path / "singan", count=1, files="single", width=width, output=str(tmp_path / f"w{width}"))
        )
        with Image.open(place / "00000.png") as picture:
            sizes.append(picture.size)
    assert sizes[1][1] == sizes[0][1]
    assert sizes[1][0] == round(1.5 * sizes[0][0])
    with pytest.raises(GanrunError, match="AdversarialGame cannot be sampled with width"):
        sample(settings(tmp_path / "dcgan", width=2.0))
    with pytest.raises(GanrunError, match="SinGAN has none"):
        sample(settings(tmp_path / "singan", truncation=0.5))


def test_truncation_of_styles_is_towards_their_mean(tmp_path, game_overrides):
    from PIL import Image

    play(tmp_path, *game_overrides("stylegan2"), "trainer.steps=2")
    pictures = []
    for truncation in (None, 1.0, 0.5, 1e-6):
        with Image.open(sample(settings(tmp_path, count=4, truncation=truncation))) as picture:
            pictures.append(torch.frombuffer(bytearray(picture.convert("L").tobytes()), dtype=torch.uint8))
    whole, same_again, half, mean = pictures
    assert torch.equal(whole, same_again)
    assert not torch.equal(whole, half)
    assert not torch.equal(half, mean)


@pytest.mark.parametrize(
    ("technique", "where", "message"),
    [
        ("path_length", "dcgan", "PathLength.* needs a generator with styles"),
        ("ensemble,path_length", "stylegan2", "a generator with styles, and Ensemble has none"),
    ],
)
def test_path_lengths_need_styles(tmp_path, game_overrides, technique, where, message):
    with pytest.raises(ConfigError, match=message):
        play(tmp_path, *game_overrides(where), f"technique=[{technique}]", "trainer.steps=1")


def test_second_latents_need_normal_ones(game_overrides):
    with pytest.raises(ConfigError, match=r"model\.latent: .*draws further latents from N\(0, I\)"):
        config_of(*game_overrides("stylegan2"), "model.latent._target_=ganrun.latents.uniform.Uniform")


def test_bf16_networks_train_and_losses_stay_float32(tmp_path, game_overrides):
    state = play(tmp_path, *game_overrides("dcgan"), "trainer.precision=bf16", "trainer.steps=2")
    assert all(value.dtype != torch.bfloat16 for value in state["game"].values())
    whole = play(tmp_path / "fp32", *game_overrides("dcgan"), "trainer.precision=fp32", "trainer.steps=2")
    assert not same(result(state), result(whole))


def test_images_of_a_size_that_the_networks_cannot_make_are_refused(tmp_path, pictures):
    config = config_of("dataset=image_folder", f"dataset.path={pictures}", "dataset.size=24", *QUIET)
    with pytest.raises(ConfigError, match=r"model\.generator: DCGAN makes square images .* got 24"):
        launch.train(config, tmp_path, Origin())
    assert not list(tmp_path.glob("checkpoints/*"))


def test_networks_for_square_images_say_so(tmp_path):
    from PIL import Image

    (tmp_path / "wide").mkdir()
    for number in range(3):
        Image.new("RGB", (32, 16), (number, 0, 0)).save(tmp_path / "wide" / f"{number}.png")
    config = config_of("dataset=image_folder", f"dataset.path={tmp_path / 'wide'}", "dataset.crop=none", *QUIET)
    with pytest.raises(ConfigError, match=r"model.generator: .* needs square images, and these are 32x16"):
        launch.train(config, tmp_path / "run", Origin())


def test_other_data_under_the_same_path_are_refused(tmp_path, pictures):
    shutil.copytree(pictures, tmp_path / "pictures")
    overrides = ["dataset=image_folder", f"dataset.path={tmp_path / 'pictures'}", *SMALL["dcgan"], *QUIET]
    overrides += ["trainer.batch_size=4"]
    play(tmp_path / "run", *overrides, "trainer.steps=1")
    next((tmp_path / "pictures").rglob("*.png")).unlink()
    with pytest.raises(RunError, match="the data are not those that"):
        launch.train(config_of(*overrides, "trainer.steps=2"), tmp_path / "run", Origin())


def test_a_run_cannot_be_shortened(tmp_path, game_overrides):
    play(tmp_path, *game_overrides("mlp"), "trainer.steps=3")
    with pytest.raises(RunError, match=r"has had 3 steps, and trainer.steps=2 would go back"):
        launch.train(config_of(*game_overrides("mlp"), "trainer.steps=2"), tmp_path, Origin())


@pytest.mark.parametrize("place", ["ganrun.engine.logbook.Logbook._write_scalars", "ganrun.engine.painter.save"])
def test_a_full_disk_is_told_and_marked(tmp_path, game_overrides, monkeypatch, place):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "some.file")

    monkeypatch.setattr(place, full)
    with pytest.raises(RunError, match=r"cannot write some.file: the disk is full. Mend that and go on"):
        play(tmp_path, *game_overrides("mlp"), "trainer.steps=2")
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(("status", "end"), [("finished", 5), ("stopped", 3)])
def test_an_end_is_told_when_all_is_written(tmp_path, game_overrides, monkeypatch, status, end):
    save, write_status, after_step = torch.save, RunFolder.write_status, Logbook.after_step
    left = []

    def slowly(state: Any, file: Any) -> None:
        time.sleep(0.3)
        save(state, file)

    def spy(folder: RunFolder, told: str, *more: Any) -> None:
        if told == status:
            lines = (folder.path / "metrics.jsonl").read_text().splitlines()
            left.append([path.name for path in folder.list_checkpoints()] + [json.loads(lines[-1])["step"]])
        write_status(folder, told, *more)

    def stop(logbook: Logbook, trainer: Any) -> None:
        after_step(logbook, trainer)
        if status == "stopped" and trainer.step == end:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(torch, "save", slowly)
    monkeypatch.setattr(RunFolder, "write_status", spy)
    monkeypatch.setattr(Logbook, "after_step", stop)
    with pytest.raises(SystemExit) if status == "stopped" else contextlib.nullcontext():
        play(tmp_path, *game_overrides("mlp"), "trainer.steps=5", "trainer.checkpoint_every_steps=2")
    assert left == [[*(f"step_{step:08d}.pt" for step in (2, 4, end) if step <= end), end]]


def command(*overrides: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ganrun.cli", *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        start_new_session=True,
    )


def wait_for(path: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if path.exists() and re.search(pattern, path.read_text()):
            return
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"{path} never showed {pattern!r}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_stopped_run_goes_on_where_it_was(tmp_path, game_overrides, number, code):
    overrides = [*game_overrides("dcgan"), "trainer.checkpoint_every_steps=20"]
    run = tmp_path / "run"
    process = command(*overrides, f"run={run}", "trainer.steps=100000")
    wait_for(run / "metrics.jsonl", r'"step": [3-9]\d', process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    status = json.loads((run / "status.json").read_text())
    if number != signal.SIGKILL:
        assert status["status"] == "stopped"
        assert f"go on with: ganrun run={run}" in output
        assert (run / "checkpoints" / f"step_{status['step']:08d}.pt").exists()
    reached = int(sorted((run / "checkpoints").glob("*.pt"))[-1].stem.removeprefix("step_"))
    steps = reached + 5
    process = command(f"run={run}", f"trainer.steps={steps}")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert f"going on from step {reached}" in output
    resumed = read_checkpoint(run / "checkpoints" / f"step_{steps:08d}.pt")
    whole = play(tmp_path / "whole", *overrides, f"trainer.steps={steps}")
    assert same(result(resumed), result(whole))


@pytest.mark.parametrize(
    "model",
    [
        *("mlp", "began", "vaegan"),
        *(pytest.param(model, marks=pytest.mark.slow) for model in SHARED_SLOWLY),
    ],
)
def test_two_processes_train_one_folder(tmp_path, game_overrides, model):
    run = tmp_path / "run"
    shared = ["trainer.devices=2", *(["trainer.batch_size=2"] if model in ALONE else [])]
    process = command(*game_overrides(model), *shared, f"run={run}", "trainer.steps=4")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    last = 8 if model in STAGED else 4
    assert f"finished at step {last}" in (run / "run.log").read_text()
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, last + 1))


def test_processes_share_the_cores(tmp_path, game_overrides):
    run, environment = tmp_path / "run", os.environ | {"GANRUN_CORES": "2"}
    del environment["OMP_NUM_THREADS"]
    command = [sys.executable, "-m", "ganrun.cli", *game_overrides("mlp"), f"run={run}"]
    alike = ["trainer.steps=1", "trainer.devices=2"]
    subprocess.run([*command, *alike], env=environment, capture_output=True, check=True, timeout=120)
    assert "CPU (1 threads)" in (run / "run.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("model", POOLED)
def test_two_processes_resume_with_pools_of_their_own(tmp_path, game_overrides, model):
    alike = ["trainer.batch_size=2", "trainer.devices=2"]
    for run, stops in (("whole", (6,)), ("parts", (3, 6))):
        for steps in stops:
            process = command(*game_overrides(model), *alike, f"run={tmp_path / run}", f"trainer.steps={steps}")
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
    whole, parts = (read_checkpoint(tmp_path / run / "checkpoints/step_00000006.pt") for run in ("whole", "parts"))
    assert same(result(parts), result(whole))
    assert same(parts["buffers"], whole["buffers"])
    one, other = (buffers["pool_a.images"] for buffers in whole["buffers"])
    assert not torch.equal(one, other)


@pytest.mark.slow
def test_two_processes_resume_between_scales_and_inside_them(tmp_path, game_overrides):
    """Each draws noise of its own, and has its own running averages in the scale that is being trained."""
    alike = [*game_overrides("singan"), "trainer.batch_size=2", "trainer.devices=2", "trainer.steps=4"]
    kept = ["trainer.checkpoint_every_steps=1", "trainer.keep_checkpoints=99"]
    for step in (None, 4, 7):
        run = tmp_path / str(step)
        if step is not None:
            shutil.copytree(tmp_path / "None", run, ignore=shutil.ignore_patterns("status.json"))
            for later in range(step + 1, 9):
                (run / "checkpoints" / f"step_{later:08d}.pt").unlink()
        process = command(*alike, *kept, f"run={run}")
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    whole, *parts = (read_checkpoint(tmp_path / str(step) / "checkpoints/step_00000008.pt") for step in (None, 4, 7))
    for part in parts:
        assert same(result(part), result(whole))
        assert same(part["buffers"], whole["buffers"])


@pytest.mark.slow
def test_two_processes_agree_on_the_length_of_paths(tmp_path, game_overrides):
    run = tmp_path / "run"
    technique = ["technique=[path_length]", "loss.generator_terms.path_length.every_steps=1", "trainer.devices=2"]
    process = command(*game_overrides("stylegan2"), *technique, f"run={run}", "trainer.steps=3")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    of_processes = read_checkpoint(run / "checkpoints" / "step_00000003.pt")["buffers"]
    (name,) = (name for name in of_processes[0] if name.endswith("mean_length"))
    assert of_processes[0][name] == of_processes[1][name] > 0
    assert not same(*of_processes)  # their batches differ, and with them the mean style


def test_ctrl_c_in_a_terminal_stops_all_processes_once(tmp_path, game_overrides):
    """A terminal sends SIGINT to the whole group."""
    run = tmp_path / "run"
    process = command(*game_overrides("mlp"), f"run={run}", "trainer.devices=2", "trainer.steps=100000")
    wait_for(run / "metrics.jsonl", r'"step": \d\d', process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "stopped"
    assert (run / "checkpoints" / f"step_{status['step']:08d}.pt").exists()


def test_finished_run_says_so_and_can_be_extended(tmp_path, game_overrides):
    overrides = game_overrides("mlp")
    play(tmp_path, *overrides, "trainer.steps=2")
    before = (tmp_path / "metrics.jsonl").read_text()
    play(tmp_path, *overrides, "trainer.steps=2")
    assert (tmp_path / "metrics.jsonl").read_text() == before
    assert play(tmp_path, *overrides, "trainer.steps=4")["step"] == 4


def test_hyperparameters_and_metrics_share_the_run(tmp_path, game_overrides):
    """The HPARAMS tab compares runs by session summaries and ordinary scalars of the same folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(tmp_path, *game_overrides("mlp"), "trainer.steps=2")
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = set(events.summary_metadata)
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= tags
    assert "_hparams_/experiment" not in tags  # TensorBoard would show this run's columns for all
    assert "loss/generator/adversarial" in events.Tags()["scalars"]
    assert "samples/generated" in events.Tags()["images"]
    assert "config/text_summary" in tags


def shown_in_hparams(folder):
    """What the HPARAMS tab shows of a run: its hyperparameters and whether it ended well."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import api_pb2, metadata

    events = EventAccumulator(str(folder))
    events.Reload()
    start, end = (
        events.SummaryMetadata(f"_hparams_/session_{part}_info").plugin_data.content for part in ("start", "end")
    )
    values = metadata.parse_session_start_info_plugin_data(start).hparams
    status = metadata.parse_session_end_info_plugin_data(end).status
    shown = {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}
    return shown, api_pb2.Status.Name(status)


def test_hyperparameters_are_what_was_typed_also_after_a_resume(tmp_path, game_overrides):
    typed = [*game_overrides("mlp"), "trainer.steps=1", "optimizer.generator.lr=1e-4", "technique=[ttur,r1]", "seed=3"]
    choices = {"model": "mlp", "loss": "nonsaturating", "dataset": "digits"}
    launch.train(config_of(*typed), tmp_path, Origin([*typed, f"run={tmp_path}", "name=mine"], choices))
    shown, _ = shown_in_hparams(tmp_path)
    assert shown | choices == shown
    assert shown["optimizer.generator.lr"] == 1e-4
    assert shown["technique"] == "[ttur,r1]"
    assert shown["seed"] == "3"
    assert not {"run", "name", "trainer.precision"} & shown.keys()
    config = config_of(*typed) | {"run": str(tmp_path)}
    config["trainer"]["steps"] = 2
    launch.train(config, tmp_path, Origin([f"run={tmp_path}", "trainer.steps=2"], {"model": "dcgan_small"}))
    assert shown_in_hparams(tmp_path) == (shown | {"trainer.steps": 2}, "STATUS_SUCCESS")
    recorded = json.loads((tmp_path / "environment.json").read_text())
    assert recorded["choices"] == choices
    final = {*typed, "trainer.steps=2", f"run={tmp_path}", "name=mine"} - {"trainer.steps=1"}
    assert set(recorded["overrides"]) == final


DIAGNOSTICS = {
    "score": ("real", "fake", "std_real", "std_fake", "accuracy"),
    "adversarial": ("discriminator", "generator"),
    "equilibrium": ("discriminator",),
    "slope": ("mean", "max"),
    "saturation": ("generator_gradient",),
}


@pytest.mark.parametrize("model", sorted(SMALL))
def test_every_game_is_diagnosed(tmp_path, game_overrides, model):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(tmp_path, *game_overrides(model), "trainer.steps=2")
    logged = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    domains = dict.fromkeys(TRANSLATORS, ("_a", "_b")).get(model, ("_5", "_8") if model == "lapgan" else ("",))
    groups = DIAGNOSTICS.keys() - (
        {"equilibrium"} if model in ("began", "stackgan") else {}
    )  # theirs depends on the data
    for domain in domains:
        assert {f"{group}/{name}{domain}" for group in groups for name in DIAGNOSTICS[group]} <= logged.keys()
        assert 0 <= logged[f"score/accuracy{domain}"] <= 1
    assert any(tag.startswith("bound/") for tag in logged) == (
        model not in ("began", "ebgan", "ebgan_toy", "stackgan")
    )  # an energy certifies nothing, nor do fakes and wrong pairs together
    assert (f"diversity/fake_to_real{domains[-1]}" in logged) == (model not in ALONE)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    histograms = {f"distribution/{name}{domain}" for name in ("real", "fake") for domain in domains}
    assert histograms <= set(events.Tags()["histograms"])
    assert not histograms & set(events.Tags()["scalars"])  # TensorBoard shows a tag as one thing only
    layout = events.SummaryMetadata("custom_scalars__config__")
    assert layout.plugin_data.plugin_name == "custom_scalars"
    content = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"adversarial/discriminator" in content
    assert b"gradient_norm" in content


def test_totals_are_of_the_adversarial_part(tmp_path, game_overrides):
    play(tmp_path, *game_overrides("mlp"), "loss=wgan_gp", "trainer.steps=1", "loss.critic_steps=1")
    logged = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    total = logged["loss/discriminator/real"] + logged["loss/discriminator/fake"]
    assert logged["loss/discriminator/gradient_penalty"] > 0.01
    assert logged["adversarial/discriminator"] == pytest.approx(total, rel=1e-5)
    assert logged["bound/wasserstein"] == pytest.approx(-total, rel=1e-5)


TROUBLE = ["watchdog.diversity=1000", "watchdog.patience=2", "watchdog.warmup=0", "trainer.checkpoint_every_steps=1"]
"""Every run looks collapsed to such a watchdog."""


def test_a_run_that_the_watchdog_stops_is_saved_and_not_finished(tmp_path, game_overrides):
    overrides = [*game_overrides("mlp"), *TROUBLE, "trainer.steps=9"]
    with pytest.raises(RunError, match=r"^watchdog: mode_collapse: .* Everything is saved in "):
        play(tmp_path, *overrides, "watchdog.action=stop")
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["status"], status["step"]) == ("stopped", 2)
    assert status["reason"].startswith("watchdog: mode_collapse: fakes are spread")
    assert play(tmp_path, *overrides, "watchdog.action=stop")["step"] == 9  # told is told
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "finished"


def test_a_sweep_goes_on_after_a_stopped_run(tmp_path, game_overrides):
    overrides = [*game_overrides("mlp"), *TROUBLE, "trainer.steps=4", f"sweep.folder={tmp_path}/sweep"]
    process = command("-m", *overrides, "watchdog.action=stop,none")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    stopped, finished = Ledger(tmp_path / "sweep").rows()
    assert (stopped.status, finished.status) == ("stopped", "finished")
    assert stopped.reason.startswith("watchdog: mode_collapse")
    assert "watchdog: mode_collapse" in output


def test_two_processes_agree_on_rollback_and_stop(tmp_path, game_overrides):
    run = tmp_path / "run"
    overrides = [*game_overrides("mlp"), *TROUBLE, "trainer.steps=20", "trainer.keep_checkpoints=9"]
    rollback = ["watchdog.action=rollback", "watchdog.max_rollbacks=1", "watchdog.warmup=3"]
    process = command(*overrides, *rollback, f"run={run}", "trainer.devices=2")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "step 5  watchdog: rolled back to step 3, going on from here" in (run / "run.log").read_text()
    status = json.loads((run / "status.json").read_text())
    assert (status["status"], status["step"]) == ("stopped", 7)
    assert "rolled back 1 times already" in status["reason"]
