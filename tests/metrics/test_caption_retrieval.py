from __future__ import annotations

import logging

import pytest
import torch
from torch.nn.functional import normalize

from ganrun.data.shapes import Shapes
from ganrun.data.text import HashedNgrams
from ganrun.metrics.base import Evaluation
from ganrun.metrics.caption_retrieval import CaptionRetrieval, Matcher, Towers, retrieval

SETTINGS = {"resolution": 16, "widths": [16, 32], "dimensions": 16, "temperature": 0.1, "images": 1000}


def matcher(**changes):
    learning = {"held_out": 0.1, "epochs": 12, "patience": 4, "batch_size": 32, "lr": 3e-3}
    return Matcher(**SETTINGS | learning | changes)


@pytest.fixture(scope="module")
def scenes():
    return Shapes("texts", 16, 600, 0, HashedNgrams(128), False)


def score(dataset, draw, samples=96, candidates=16):
    metrics = {"retrieval": CaptionRetrieval(matcher(), candidates)}
    return Evaluation(metrics, None, dataset, samples, None, samples, False, "train", "raw", None, 0).run(draw)


def test_closed_forms():
    axes = torch.eye(4)
    words = torch.arange(4.0)[:, None]
    assert retrieval(axes, axes, words, 4) == 1
    assert retrieval(axes, axes.roll(1, 0), words, 4) == 0
    assert retrieval(axes, axes[[0, 1, 3, 2]], words, 4) == 0.5
    assert retrieval(axes, axes[[2, 3, 0, 1]], words, 2) == 0  # a tie is no hit
    assert retrieval(torch.cat([axes, axes]), torch.cat([axes, -axes]), words.repeat(2, 1), 3) == 0.5


def test_equal_captions_do_not_compete():
    images = normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.0, 1.0]]))
    captions = normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert retrieval(images, captions, torch.tensor([[1.0], [1.0], [2.0]]), 3) == 1
    assert retrieval(images, captions, torch.tensor([[1.0], [3.0], [2.0]]), 3) == pytest.approx(1 / 3)


def test_towers():
    network = Towers(3, 20, 16, (4, 8), 6).eval()
    images, captions = network(torch.zeros(5, 3, 40, 24, dtype=torch.uint8), torch.randn(5, 20))
    assert images.shape == captions.shape == (5, 6)
    assert captions.norm(dim=1).tolist() == pytest.approx([1] * 5)


def test_retrieval_of_scenes(scenes, caplog):
    """Real images find their captions; with those of others they do not; and grey images do not."""
    caplog.set_level(logging.INFO)
    batch = scenes.fetch((torch.arange(96),), augment=False)
    right = score(scenes, lambda count: (batch.real, batch.condition))["retrieval"]
    assert right > 0.7
    assert "(by chance 6.2 %): the mark to reach" in caplog.text
    wrong = score(scenes, lambda count: (batch.real, batch.condition.roll(1, 0)))["retrieval"]
    grey = score(scenes, lambda count: (torch.zeros_like(batch.real), batch.condition))["retrieval"]
    assert max(wrong, grey) < 0.25
    assert caplog.text.count("training a network") == 1  # kept on disk


def test_what_has_no_such_score(scenes, caplog):
    assert score(scenes, lambda count: torch.zeros(count, 3, 16, 16)) == {}
    assert "no retrieval: the generator is not given captions" in caplog.text
    few = scenes.fetch((torch.arange(10),), augment=False)
    assert score(scenes, lambda count: (few.real, few.condition), samples=10) == {}
    assert "10 samples are too few for 16 candidates" in caplog.text
    small = Shapes("texts", 16, 16, 0, HashedNgrams(128), False)
    batch = small.fetch((torch.arange(16),), augment=False)
    assert score(small, lambda count: (batch.real, batch.condition), samples=16) == {}
    assert "16 images are too few to learn" in caplog.text
