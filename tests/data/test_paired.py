import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import DataError
from ganrun.data.paired import Paired

DEFAULTS = {
    "split": "train",
    "layout": "auto",
    "direction": "a_to_b",
    "size": None,
    "load_size": None,
    "crop": "center",
    "filter": "bicubic",
    "subset": None,
    "subset_seed": 0,
    "flip": False,
}


def paired(path, **changes):
    return Paired(path=str(path), **DEFAULTS | changes)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def coordinates(tmp_path):
    """Three pairs: A tells where a pixel is, and of which pair; B is A plus 100 in every channel."""
    rows, columns = np.mgrid[:16, :16].astype(np.uint8)
    for number in range(3):
        a = np.stack([rows, columns, np.full_like(rows, number)], axis=2)
        save(tmp_path / "train" / f"{number}.png", np.concatenate([a, a + 100], axis=1))
    return tmp_path


def levels(images):
    return ((images + 1) * 127.5).round()


def test_the_source_is_the_condition(coordinates):
    dataset = paired(coordinates)
    assert dataset.facts.shape == dataset.facts.condition_shape == (3, 16, 16)
    assert dataset.facts.provides == {"images", "aligned"}
    batch = dataset.fetch((torch.tensor([2, 0]),))
    assert torch.equal(levels(batch.real), levels(batch.condition) + 100)
    assert levels(batch.condition)[:, 2, 0, 0].tolist() == [2, 0]
    back = paired(coordinates, direction="b_to_a").fetch((torch.tensor([2, 0]),))
    assert torch.equal(back.real, batch.condition)
    assert torch.equal(back.condition, batch.real)
    assert paired(coordinates, direction="b_to_a").facts.fingerprint != dataset.facts.fingerprint


def test_both_are_cut_out_and_mirrored_together(coordinates):
    dataset = paired(coordinates, size=8, load_size=16, flip=True)
    assert dataset.facts.shape == (3, 8, 8)
    assert "cut out of 16x16" in dataset.facts.description
    torch.manual_seed(0)
    batch = dataset.fetch((torch.arange(300) % 3,))
    source = levels(batch.condition)
    assert torch.equal(levels(batch.real), source + 100)
    assert set(source[:, 0, 0, 0].tolist()) == set(range(9))  # every place, also the last
    steps = (source[:, 1, 0, 1:] - source[:, 1, 0, :-1]).unique(dim=1)
    assert steps.shape[1] == 1  # a row is read from left to right, or from right to left
    assert 100 < int((steps == -1).sum()) < 200
    assert len(set(zip(source[:, 0, 0, 0].tolist(), source[:, 1, 0, 0].tolist(), strict=True))) > 50
    centred = levels(dataset.examples(3).condition)
    assert centred[:, 0, 0, 0].tolist() == centred[:, 1, 0, 0].tolist() == [4, 4, 4]


def test_folders_match_by_name(tmp_path):
    for number, name in enumerate(("x", "y", "z")):
        save(tmp_path / "trainA" / f"{name}.png", np.full((8, 8), number, dtype=np.uint8))
        save(tmp_path / "trainB" / f"{name}.bmp", np.full((8, 8), 100 + number, dtype=np.uint8))
    batch = paired(tmp_path, subset=2).examples(2)
    assert torch.equal(levels(batch.real), levels(batch.condition) + 100)


def test_what_are_no_pairs(tmp_path):
    pixels = np.zeros((8, 8), dtype=np.uint8)
    for name in ("trainA/a.png", "trainA/b.png", "trainA/c.png", "trainB/a.png"):
        save(tmp_path / "alone" / name, pixels)
    with pytest.raises(DataError, match=r"trainA/b\.png and 1 more has no partner in trainB"):
        paired(tmp_path / "alone")
    for name in ("trainA/a.png", "trainA/a.bmp", "trainB/a.png"):
        save(tmp_path / "twice" / name, pixels)
    with pytest.raises(DataError, match=r"trainA/a\.bmp has a namesake"):
        paired(tmp_path / "twice")
    save(tmp_path / "sizes" / "trainA" / "a.png", pixels)
    save(tmp_path / "sizes" / "trainB" / "a.png", pixels[:4, :4])
    with pytest.raises(DataError, match=r"A is 8x8, B is 4x4.*dataset\.size"):
        paired(tmp_path / "sizes")
    with pytest.raises(DataError, match=r"load_size=8.*that is 16.*Set dataset\.size to 8"):
        paired(tmp_path / "sizes", size=16, load_size=8)
    with pytest.raises(DataError, match=r"load_size=8.*that is null"):
        paired(tmp_path / "sizes", load_size=8)


def test_facades(shared_data):
    dataset = paired(shared_data / "facades" / "facades-256.zip", direction="b_to_a", size=32, subset=10)
    batch = dataset.examples(10)
    assert batch.condition[:, 2].mean() > batch.condition[:, 0].mean() + 0.3  # the label maps are mostly blue
    assert abs(batch.real[:, 2].mean() - batch.real[:, 0].mean()) < 0.3
