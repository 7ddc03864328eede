"""Texts asked for by their words: at the command line, in Python, and under pictures."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from test_runs import SMALL, game_overrides, play, settings, two_domains  # noqa: F401  (fixtures)

import ganrun
from ganrun.cli import _quote_text
from ganrun.config.interpolate import interpolate
from ganrun.config.neighbours import neighbours
from ganrun.config.paths import conf_folder
from ganrun.config.sample import sample
from ganrun.core.errors import RunError


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Two steps on shapes with a vocabulary; look only."""
    folder = tmp_path_factory.mktemp("texts") / "run"
    data = ["dataset=shapes", "dataset.goes_with=texts", "dataset.size=16", "dataset.count=32"]
    quiet = ["trainer.batch_size=8", "trainer.picture_samples=4", "trainer.device=cpu", "trainer.steps=1"]
    play(folder, *data, "dataset/encoder=bag_of_words", "model=stackgan", *SMALL["stackgan"], *quiet)
    return folder


def test_words_are_enough_and_the_data_are_not_needed(run, monkeypatch):
    monkeypatch.setattr("ganrun.data.shapes.Shapes.__init__", lambda *_: pytest.fail("the data were made"))
    loaded = ganrun.load(run)
    samples = loaded.sample(6, condition=["a red circle", "a blue square"], seed=0)
    assert samples.shape == (6, 3, 16, 16)
    same_words = loaded.sample(6, condition=["Circle A RED!", "a square, blue"], seed=0)
    assert torch.equal(samples, same_words)  # the encoder counts words
    assert not torch.equal(samples, loaded.sample(6, condition="a red circle", seed=0))
    count = len(loaded.facts.vocabulary)
    vector = torch.zeros(1, count)
    vector[0, [loaded.facts.vocabulary.index(word) for word in ("a", "red", "circle")]] = 3**-0.5
    assert torch.allclose(samples[::2], loaded.sample(6, condition=vector, seed=0)[::2], atol=1e-5)


def test_unknown_words_are_told(run, caplog):
    with caplog.at_level(logging.WARNING):
        ganrun.load(run).sample(1, condition="a purple circle, purple as never before")
    assert caplog.messages == ["words that the run does not know are left out: purple, as, never, before"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A text is empty"),
        (["a circle", "  "], "A text is empty"),
        ("zebra", "knows no word of 'zebra'.*captions like"),
    ],
)
def test_texts_that_cannot_be_read(run, text, message):
    with pytest.raises(RunError, match=message):
        sample(settings(run, text=text))


def test_a_picture_has_a_row_for_every_text(run, tmp_path):
    output = str(tmp_path / "picture.png")
    with Image.open(sample(settings(run, text="a red circle", count=5, output=output))) as one:
        assert one.size == (5 * (16 * 9 + 2) + 2, 16 * 9 + 4 + 18)
    with Image.open(sample(settings(run, text=["a red circle", "a blue square"], count=20, output=output))) as two:
        assert two.size == (10 * (16 * 4 + 2) + 2, 4 * (16 * 4 + 2) + 2 + 2 * 18)
    with Image.open(sample(settings(run, count=4, output=output))) as of_data:
        assert of_data.height > 2 * of_data.width * 0.5 + 2 * 18  # captions of the data below each image
    folder = sample(settings(run, text=["a red circle", "a blue square"], count=3, files="single"))
    assert len(list(folder.glob("*.png"))) == 6


def test_pictures_of_texts_have_names_of_their_own(run):
    names = {
        sample(settings(run, count=1, text=text)).name
        for text in ("a red circle", "a red circle!", ["a red", "circle"], "a blue square " * 30)
    }
    assert len(names) == 4
    assert all(len(name) < 100 for name in names)


def test_other_games_draw_no_texts(tmp_path, game_overrides):  # noqa: F811
    play(tmp_path, *game_overrides("mlp"), "trainer.steps=1")
    with pytest.raises(RunError, match=r"AdversarialGame draws no texts\. Leave text out"):
        sample(settings(tmp_path, text="a dog"))
    with pytest.raises(RunError, match="draws no texts"):
        ganrun.load(tmp_path).sample(1, condition="a dog")


def test_a_class_beside_a_text_is_refused(run):
    with pytest.raises(RunError, match="Leave one of them out"):
        sample(settings(run, text="a red circle", condition=1))
    with pytest.raises(RunError, match=r"needs texts\. Give it some, strings, or a tensor"):
        ganrun.load(run).sample(2)


def test_neighbours_have_the_captions_that_were_drawn(run, tmp_path):
    values = OmegaConf.to_container(OmegaConf.load(conf_folder() / "neighbours.yaml"))
    del values["hydra"], values["defaults"]
    data = ganrun.load(run).config["dataset"]
    changes = {"run": str(run), "count": 3, "neighbours": 2, "space": "pixels", "dataset": data, "evaluation": None}
    with Image.open(neighbours(values | changes | {"output": str(tmp_path / "near.png")})) as picture:
        cell = 16 * round(700 / (4 * 16)) + 2
        assert picture.size == (4 * cell + 2, 3 * (cell + 18) + 2)


def way(run: Path, **changes) -> Path:
    values = OmegaConf.to_container(OmegaConf.load(conf_folder() / "interpolate.yaml"))
    del values["hydra"], values["defaults"]
    return interpolate(values | {"run": str(run)} | changes)


def test_ways_between_texts(run, tmp_path):
    ends = {"from_text": "a red circle", "to_text": "a blue square"}
    with Image.open(way(run, **ends, rows=2, columns=5, output=str(tmp_path / "way.png"))) as picture:
        assert picture.size == (5 * (16 * 9 + 2) + 2, 2 * (16 * 9 + 2) + 2 + 18)
    for lacking in ({"from_text": "a red circle"}, {}):
        with pytest.raises(RunError, match="Give from_text and to_text"):
            way(run, **lacking)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("text=a dog runs on the beach", "a dog runs on the beach"),
        ("text=a dog, and a cat = 2: {x}", "a dog, and a cat = 2: {x}"),
        ("text=the dog's 'big' ball", "the dog's 'big' ball"),
        ("text='quoted already, here'", "quoted already, here"),
        ("text=[a dog, a red bird]", ["a dog", "a red bird"]),
        ("text=['one, two', \"three\"]", ["one, two", "three"]),
        ("text=42", "42"),
        ("from_text=true", "true"),
        ("text=null", None),
    ],
)
def test_sentences_need_no_quotes(typed, value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found = OverridesParser.create().parse_override(_quote_text(typed)).value()
    plain = [str(item) for item in found] if isinstance(found, list) else None if found is None else str(found)
    assert plain == value or str(getattr(found, "text", "")) == value
