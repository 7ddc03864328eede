from __future__ import annotations

from itertools import permutations

import pytest
import torch

from ganrun.core.types import LatentSpace
from ganrun.data.digits import Digits
from ganrun.latents.coded import Coded
from ganrun.metrics.base import Samples, Unavailable
from ganrun.metrics.code_accuracy import CodeAccuracy, assigned_share
from ganrun.metrics.features.classifier import Classifier


def test_share_is_that_of_the_best_assignment():
    torch.manual_seed(0)
    codes, classes = torch.randint(4, (300,)), torch.randint(4, (300,))
    every = [float((torch.tensor(order)[codes] == classes).double().mean()) for order in permutations(range(4))]
    assert assigned_share(codes, classes) == pytest.approx(max(every))


def test_renamed_codes_match_and_blended_ones_do_not():
    codes = torch.arange(1000) % 10
    assert assigned_share(codes, (codes * 3 + 4) % 10) == 1
    assert assigned_share(codes, codes // 2) == 0.5  # two codes for each class: one of them has none
    assert assigned_share(codes // 2, codes) == 0.5
    assert assigned_share(codes, torch.zeros_like(codes)) == pytest.approx(0.1)


@pytest.fixture(scope="module")
def digits():
    return Digits(size=16, filter="bicubic", subset=None, subset_seed=0, flip=False)


CLASSIFIER = Classifier(16, [8, 16], 32, 2000, 0.1, 6, 3, 64, 3e-3)


def space_of(data, shown, categories=(10,)):
    """Latents whose first code ``c`` shows a digit of the class ``shown[c]``."""
    latent = Coded(40, list(categories), 1)

    def decode(z):
        wanted = shown[latent.codes(z)[:, 0]]
        places = [int((data.labels == label).nonzero()[number % 100]) for number, label in enumerate(wanted)]
        return data.fetch((torch.tensor(places),), augment=False).real

    return LatentSpace(lambda count: latent(count, torch.device("cpu")), decode, None, latent.codes)


def score(data, space):
    samples = Samples(torch.empty(0), None, None, lambda: None, data, space)
    return CodeAccuracy(CLASSIFIER, samples=600).evaluate(samples)


def test_a_generator_whose_code_is_the_class(digits):
    torch.manual_seed(0)
    assert score(digits, space_of(digits, torch.arange(10).flip(0))) > 0.9
    assert score(digits, space_of(digits, torch.arange(10) // 2)) == pytest.approx(0.5, abs=0.06)
    assert score(digits, space_of(digits, torch.arange(10), categories=(10, 3))) > 0.9  # the better code counts


def test_latents_without_codes(digits):
    with pytest.raises(Unavailable, match="no categorical code"):
        score(digits, None)
    with pytest.raises(Unavailable, match="no categorical code"):
        score(digits, LatentSpace(lambda count: None, lambda z: z, "linear"))


def test_codes_are_read_off_latents():
    latent = Coded(20, [3, 5], 2)
    z = latent(50, torch.device("cpu"))
    codes = latent.codes(z)
    assert codes.shape == (50, 2)
    assert torch.equal(torch.nn.functional.one_hot(codes[:, 0], 3).float(), z[:, 10:13])
    assert torch.equal(torch.nn.functional.one_hot(codes[:, 1], 5).float(), z[:, 13:18])
