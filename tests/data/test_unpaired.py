import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import DataError
from ganrun.data.unpaired import Unpaired

DEFAULTS = {
    "split": "train",
    "layout": "auto",
    "size": None,
    "load_size": None,
    "crop": "center",
    "filter": "bicubic",
    "on_corrupt": "stop",
    "subset": None,
    "subset_seed": 0,
    "flip": False,
}


def unpaired(path, **changes):
    return Unpaired(path=str(path), **DEFAULTS | changes)


def fill(path, value, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0]), value, dtype=np.uint8)).save(path)


def values(images):
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_folders(tmp_path):
    for i in range(3):
        fill(tmp_path / "horse2zebra" / "trainA" / f"{i}.png", i)
    for i in range(5):
        fill(tmp_path / "horse2zebra" / "trainB" / f"{i}.png", 100 + i)
    fill(tmp_path / "horse2zebra" / "testA" / "x.png", 7)
    dataset = unpaired(tmp_path)
    assert dataset.facts.count == (3, 5)
    assert dataset.facts.shape == (3, 8, 8)  # grey files too become colour
    assert dataset.facts.provides == {"images", "two_domains"}
    assert "3 + 5 images" in dataset.facts.description
    batch = dataset.fetch((torch.tensor([2, 0]), torch.tensor([4, 1])))
    assert values(batch.domains[0]) == [2, 0]
    assert values(batch.domains[1]) == [104, 101]
    assert batch.condition is None
    assert [len(domain) for domain in dataset.examples(4).domains] == [3, 4]
    assert unpaired(tmp_path, subset=2).facts.count == (2, 2)


def test_side_by_side(tmp_path):
    for i in range(3):
        pair = np.full((8, 16), 200 + i, dtype=np.uint8)
        pair[:, :8] = i
        (tmp_path / "train").mkdir(exist_ok=True)
        Image.fromarray(pair).save(tmp_path / "train" / f"{i}.png")
    dataset = unpaired(tmp_path)
    assert dataset.facts.shape == (3, 8, 8)
    a, b = dataset.fetch((torch.arange(3), torch.arange(3))).domains
    assert values(a) == [0, 1, 2]
    assert values(b) == [200, 201, 202]


def test_what_cannot_be_two_domains(tmp_path):
    fill(tmp_path / "one" / "trainA" / "a.png", 0)
    with pytest.raises(DataError, match="no images in a folder trainB"):
        unpaired(tmp_path / "one")
    fill(tmp_path / "square" / "train" / "a.png", 0)
    with pytest.raises(DataError, match="neither folders trainA and trainB nor pairs"):
        unpaired(tmp_path / "square")
    fill(tmp_path / "mixed" / "trainA" / "a.png", 0)
    fill(tmp_path / "mixed" / "trainB" / "b.png", 0, size=(9, 9))
    with pytest.raises(DataError, match=r"A is 8x8, B is 9x9.*dataset\.size"):
        unpaired(tmp_path / "mixed")
    assert unpaired(tmp_path / "mixed", size=4).facts.shape == (3, 4, 4)


def test_domains_flip_apart(tmp_path):
    ramp = np.tile(np.arange(8, dtype=np.uint8), (8, 1))
    for name in ("trainA", "trainB"):
        (tmp_path / name).mkdir()
        Image.fromarray(ramp).save(tmp_path / name / "a.png")
    torch.manual_seed(0)
    zeros = torch.zeros(64, dtype=torch.int64)
    a, b = unpaired(tmp_path, flip=True).fetch((zeros, zeros), augment=False).domains
    assert torch.equal(a, a[:1].expand_as(a))
    a, b = unpaired(tmp_path, flip=True).fetch((zeros, zeros)).domains
    assert values(a) != values(b)


def test_facades(shared_data):
    dataset = unpaired(shared_data / "facades" / "facades-256.zip", size=32, subset=10)
    assert dataset.facts.count == (10, 10)
    photos, maps = dataset.examples(10).domains
    assert maps[:, 2].mean() > maps[:, 0].mean() + 0.3  # the label maps are mostly blue, the photographs are not
    assert abs(photos[:, 2].mean() - photos[:, 0].mean()) < 0.3


def test_cats_dogs(shared_data):
    pack = shared_data / "cats-dogs" / "cats-dogs-128.zip"
    assert unpaired(pack, split="test").facts.count == (50, 50)
    assert unpaired(pack, split="test").facts.shape == (3, 128, 128)
