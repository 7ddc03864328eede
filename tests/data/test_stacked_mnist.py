from __future__ import annotations

import pytest
import torch
from test_small_sets import write_idx

from ganrun.core.errors import DataError
from ganrun.core.facts import Facts
from ganrun.data.mnist import Mnist
from ganrun.data.stacked_mnist import StackedMnist

SETTINGS = {"download": False, "split": "train", "size": 28, "filter": "bicubic", "count": 500, "stack_seed": 0}


def made(folder, **changes):
    return StackedMnist(str(folder), **SETTINGS | changes)


def test_channels_are_single_digits_and_the_class_is_the_number_they_write(tmp_path):
    images, labels = write_idx(tmp_path, packed=True)
    stacked = made(tmp_path)
    batch = stacked.fetch((torch.tensor([7, 0, 499]),))
    assert batch.real.shape == (3, 3, 28, 28)
    assert batch.real.is_contiguous(memory_format=torch.channels_last)
    for row, index in enumerate((7, 0, 499)):
        chosen = stacked.stacks[index].tolist()
        assert torch.equal(batch.real[row], torch.from_numpy(images[chosen]).float() / 127.5 - 1)
        assert batch.condition[row] == int("".join(str(labels[single]) for single in chosen))


def test_facts_and_seed(tmp_path):
    write_idx(tmp_path, packed=True)
    stacked = made(tmp_path)
    assert stacked.facts == Facts(
        kind="images",
        shape=(3, 28, 28),
        count=(500,),
        classes=1000,
        fingerprint=stacked.facts.fingerprint,
        description=stacked.facts.description,
    )
    assert stacked.facts.description.startswith("500 stacks 3x28x28, 1000 classes, sha256 ")
    assert stacked.facts.provides == set(StackedMnist.provides)
    assert made(tmp_path).facts == stacked.facts
    others = [made(tmp_path, stack_seed=1), made(tmp_path, size=32), made(tmp_path, count=400)]
    assert len({each.facts.fingerprint for each in [stacked, *others]}) == 4
    everything = stacked.fetch((torch.arange(500),))
    assert torch.equal(stacked.examples(10).real, everything.real[:10])
    assert len(stacked.examples(999)) == 500
    assert not torch.equal(others[0].examples(500).condition, everything.condition)


def test_missing_files_are_told_as_for_mnist(tmp_path):
    with pytest.raises(DataError, match="MNIST was not found"):
        made(tmp_path)


def test_of_the_real_digits(shared_data):
    stacked = made(shared_data / "mnist", size=32, count=26_000)
    assert (
        stacked.digits.facts == Mnist(str(shared_data / "mnist"), False, "train", 32, "bicubic", None, 0, False).facts
    )
    classes = stacked.fetch((torch.arange(26_000),)).condition
    assert len(classes.unique()) == 1000
    ones = (classes // 100 == 1).double().mean()
    assert ones == pytest.approx(6742 / 60_000, abs=4 * (0.112 * 0.888 / 26_000) ** 0.5)
