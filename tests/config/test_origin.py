"""What a run was made from, and what of it the HPARAMS tab shows."""

from __future__ import annotations

import json

import pytest

from ganrun.config.origin import Origin, hyperparameters, since_the_beginning
from ganrun.engine.folder import RunFolder

CHOICES = {"model": "toy", "loss": "hinge", "dataset": "ring"}


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("optimizer.generator.lr=1e-4", 1e-4),
        ("trainer.steps=100", 100.0),
        ("trainer.picture_every_steps=nan", "nan"),
        ("loss.weight=-inf", "-inf"),
        ("technique=[ttur,r1]", "[ttur,r1]"),
        ("evaluation.samples=null", "null"),
        ("+model.bias=true", "true"),
        ("~evaluation.metrics.fid", "left out"),
        ("dataset.path='a=b, c'", "'a=b, c'"),
    ],
)
def test_values_are_numbers_or_text(typed, shown):
    (key,) = hyperparameters(Origin([typed]), 0).keys() - {"seed"}
    assert key == typed.lstrip("+~").partition("=")[0]
    assert hyperparameters(Origin([typed]), 0)[key] == shown


def test_where_and_how_is_not_shown_and_the_choices_always_are():
    beside = ["run=here", "name=mine", "trainer.device=cpu", "dataset.root=/data", "sweep.on_error=stop"]
    assert hyperparameters(Origin(beside, CHOICES), 3) == CHOICES | {"seed": "3"}
    assert hyperparameters(Origin(["loss=wgan", "seed=4"], CHOICES), 4) == CHOICES | {"loss": "wgan", "seed": "4"}


def test_a_resumed_run_keeps_its_origin(tmp_path):
    folder, again = RunFolder(tmp_path), Origin(["run=here", "trainer.steps=9"], {"model": "dcgan_small"})
    assert since_the_beginning(again, folder) == again
    first = Origin(["loss=hinge", "trainer.steps=5"], CHOICES)
    (tmp_path / "environment.json").write_text(json.dumps(first.as_dict()))
    assert since_the_beginning(again, folder) == Origin(["loss=hinge", "trainer.steps=9", "run=here"], CHOICES)
    (tmp_path / "environment.json").write_text("{}")
    assert since_the_beginning(Origin(["run=here"]), folder) == Origin(["run=here"])
    (tmp_path / "environment.json").write_text('{"device": "CPU"}')  # by a version that did not record it
    assert since_the_beginning(again, folder) == Origin(again.overrides, {})
