from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from ganrun.core.types import Batch
from ganrun.data.digits import Digits
from ganrun.metrics.base import Evaluation, Samples, Unavailable
from ganrun.metrics.features.classifier import Classifier
from ganrun.metrics.stacked_modes import StackedKL, StackedModes

CLASSIFIER = Classifier(
    resolution=8, widths=[16, 32], dimensions=32, images=2000, held_out=0.1,
    epochs=8, patience=8, batch_size=32, lr=3e-3,
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    """scikit-learn's digits in place of MNIST's; one clear digit of each class beside them."""
    digits = Digits(size=8, filter="bicubic", subset=None, subset_seed=0, flip=False)
    everything = digits.fetch((torch.arange(1797),), augment=False)
    clear = torch.stack([everything.real[everything.condition == label].mean(0) for label in range(10)])
    facts = SimpleNamespace(kind="images", fingerprint="stacked", classes=1000, count=(1797,), domains=1)
    return SimpleNamespace(digits=digits, clear=clear, facts=facts)


def evaluate(data, numbers):
    """Scores of samples that show these numbers."""

    def generate(count):
        nonlocal numbers
        now, numbers = numbers[:count], numbers[count:]
        digits = torch.stack([now // 100, now // 10 % 10, now % 10], 1)
        return data.clear[digits][:, :, 0]

    metrics = {"stacked_modes": StackedModes(CLASSIFIER), "stacked_kl": StackedKL(CLASSIFIER)}
    settings = (len(numbers), None, 100, False, "train", "raw", None, None)
    return Evaluation(metrics, None, data, *settings).run(generate)


def test_numbers_are_read_off_the_channels(data):
    everything = evaluate(data, torch.arange(1000).repeat(2))
    assert everything["stacked_modes"] == 1000
    assert everything["stacked_kl"] == pytest.approx(0, abs=1e-12)
    some = evaluate(data, torch.tensor([7, 70, 700, 700]))
    assert some["stacked_modes"] == 3  # the order of the channels counts
    assert some["stacked_kl"] == pytest.approx(0.5 * math.log(250) + 0.5 * math.log(500))


def test_other_data_are_refused():
    samples = Samples(torch.zeros(2, 3, 8, 8), None, None, lambda: None, SimpleNamespace(fetch=Batch))
    with pytest.raises(Unavailable, match="not made of stacked digits"):
        StackedModes(CLASSIFIER).evaluate(samples)
