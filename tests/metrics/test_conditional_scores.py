from __future__ import annotations

import pytest
import torch

from ganrun.data.digits import Digits
from ganrun.metrics.base import Evaluation, settings
from ganrun.metrics.class_fid import ClassFID
from ganrun.metrics.classification_accuracy import ClassificationAccuracy
from ganrun.metrics.features.classifier import Classifier
from ganrun.metrics.fid import FID


def classifier(**changes):
    return Classifier(**{
        "resolution": 16, "widths": [8, 16], "dimensions": 24, "images": 1000, "held_out": 0.1,
        "epochs": 6, "patience": 3, "batch_size": 64, "lr": 3e-3,
    } | changes)  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return Digits(size=16, filter="bicubic", subset=None, subset_seed=0, flip=False)


def scores(digits, generate):
    metrics = {
        "fid": FID(), "class_fid": ClassFID(), "accuracy": ClassificationAccuracy(classifier(), real=800),
    }  # fmt: skip
    return Evaluation(metrics, classifier(), digits, 1000, None, 1000, False, "train", "raw", None, 0).run(generate)


def test_swapped_labels_are_seen_though_the_images_are_perfect(digits):
    batch = digits.fetch((torch.arange(1000),))
    right = scores(digits, lambda count: (batch.real, batch.condition))
    wrong = scores(digits, lambda count: (batch.real, (batch.condition + 1) % 10))
    assert right["fid_classifier"] == wrong["fid_classifier"]
    assert wrong["class_fid_classifier"] > 10 * right["class_fid_classifier"]
    assert right["accuracy"] > 0.9
    assert wrong["accuracy"] < 0.05


def test_unconditional_generators_have_no_such_scores(digits, caplog):
    found = scores(digits, lambda count: torch.zeros(count, 1, 16, 16))
    assert set(found) == {"fid_classifier"}
    assert "no class_fid: it needs a conditional generator" in caplog.text
    assert "no accuracy: the generator is not conditional" in caplog.text


def test_a_class_with_too_few_images_is_named(digits, caplog):
    batch = digits.fetch((torch.arange(1000),))
    found = scores(digits, lambda count: (batch.real, torch.arange(count) % 9))  # no nines
    assert "class_fid_classifier" not in found
    assert "of class 9, 0 generated images are too few for 24 features" in caplog.text


def test_settings_of_nested_parts_are_part_of_the_stamp():
    text = settings(ClassificationAccuracy(classifier(), real=800))
    assert text.startswith("classifier=Classifier(batch_size=64 dimensions=24 ")
    assert text.endswith(" real=800")
