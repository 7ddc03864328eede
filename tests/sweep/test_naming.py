"""Names of sweeps and runs."""

import re

import pytest

from ganrun.sweep.naming import digest, identity, path_safe, run_name, sweep_name


def test_any_text_becomes_one_short_path_component():
    for text in ("a" * 500, "dataset.root=/a/b,technique=[r1,x]", "..", "", "ü=1 'q' \"p\" $(ls)"):
        safe = path_safe(text)
        assert re.fullmatch(r"[\w.,=+-]{1,100}", safe)
        assert safe not in (".", "..")


def test_where_and_how_a_run_is_trained_does_not_make_it_another_one():
    overrides = ["loss=wgan", "seed=1", "+model.generator.depth=3", "~technique"]
    beside = [
        "hydra.verbose=true",
        "hydra/launcher=joblib",
        "sweep.retry=true",
        "run=x",
        "name=y",
        "trainer.device=cpu",
    ]
    assert identity([*beside, *overrides]) == overrides
    assert digest([*overrides, *beside]) == digest(overrides[::-1])


@pytest.mark.parametrize("other", ["loss=wgan_gp", "trainer.devices=2", "names=x", "runs=x", "dataset.path=x"])
def test_everything_else_does(other):
    assert digest(["loss=wgan", other]) != digest(["loss=wgan"])


def test_a_run_is_named_by_what_is_swept_and_by_all_of_it():
    name = run_name(["trainer.steps=5", "seed=0", "loss=wgan"], swept=["loss", "seed"])
    assert re.fullmatch(r"loss=wgan,seed=0_[0-9a-f]{8}", name)
    assert name != run_name(["trainer.steps=6", "seed=0", "loss=wgan"], swept=["loss", "seed"])
    long = [run_name([f"dataset.path={'x' * 300}/{i}"], swept=["dataset.path"]) for i in (1, 2)]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 100


def test_a_sweep_keeps_its_name_when_values_are_added():
    name = sweep_name(["loss=wgan,wgan_gp", "trainer.steps=5", "seed=0,1"], swept=["loss", "seed"])
    assert name == "loss,seed,trainer.steps=5"
    assert sweep_name(["seed=0,1,2", "loss=wgan", "trainer.steps=5"], swept=["seed", "loss"]) == name
    assert sweep_name([], swept=[]) == "default"
    long = [sweep_name([f"dataset.path={'x' * 300}/{i}"], swept=[]) for i in (1, 2)]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 100
