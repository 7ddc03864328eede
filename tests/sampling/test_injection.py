"""Masks and paintings that enter a pyramid, and clips as files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import RunError
from ganrun.sampling.animation import FORMATS, encode
from ganrun.sampling.injection import disk, read_mask, read_picture, repaint


def saved(path, pixels) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.fixture
def dot(tmp_path) -> str:
    pixels = np.zeros((60, 80), np.uint8)
    pixels[30, 40] = 255
    return saved(tmp_path / "dot.png", pixels)


def test_a_mask_is_dilated_by_a_disk(dot):
    mask = read_mask(dot, (60, 80), radius=7, sigma=0)
    y, x = np.mgrid[:60, :80]
    inside = (y - 30) ** 2 + (x - 40) ** 2 <= 49
    assert np.array_equal(mask[0, 0].numpy() == 1, inside)
    assert np.array_equal(mask[0, 0].numpy() == 0, ~inside)
    assert read_mask(dot, (60, 80), radius=0, sigma=0).sum() == 1
    assert disk(2).sum() == 13


def test_a_mask_has_soft_edges_and_is_full_in_its_middle(dot):
    mask = read_mask(dot, (60, 80), radius=20, sigma=5)[0, 0]
    assert mask[30, 40] == 1
    assert mask.max() == 1
    assert mask[30, 60] == pytest.approx(0.5, abs=0.1)  # at the edge of the disk
    assert mask[30, 78] < 0.01
    row = mask[30, 40:]
    assert (row.diff() <= 1e-6).all()


def test_a_mask_has_the_size_asked_for_whatever_its_own(tmp_path):
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, 50:] = 255
    mask = read_mask(saved(tmp_path / "half.png", pixels), (20, 40), radius=0, sigma=0)
    assert mask.shape == (1, 1, 20, 40)
    assert mask[..., :20].max() == 0
    assert mask[..., 20:].min() == 1


def test_files_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(RunError, match=r"inject=.*nowhere\.png cannot be read as a picture"):
        read_picture(str(tmp_path / "nowhere.png"), "inject")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(RunError, match="Name an image file"):
        read_picture(str(tmp_path / "text.png"), "inject")
    with pytest.raises(RunError, match="dark everywhere"):
        read_mask(saved(tmp_path / "black.png", np.zeros((8, 8), np.uint8)), (8, 8), 7, 5)


def test_pictures_of_all_kinds_become_colours(tmp_path):
    grey = read_picture(saved(tmp_path / "grey.png", np.full((4, 6), 255, np.uint8)), "inject")
    assert torch.equal(grey, torch.ones(1, 3, 4, 6))
    clear = np.zeros((4, 6, 4), np.uint8)  # transparent black lies over white
    assert torch.equal(read_picture(saved(tmp_path / "clear.png", clear), "inject"), torch.ones(1, 3, 4, 6))


def test_a_painting_takes_the_pictures_colours_cluster_by_cluster():
    """Three flat colours near three flat colours; noise in the painting does not matter."""
    theirs = torch.tensor([[-0.8, -0.8, -0.7], [0.1, 0.6, 0.0], [0.9, 0.8, 0.9]])
    picture = theirs[torch.arange(60) % 3].T.reshape(1, 3, 6, 10)
    near = torch.tensor([[-1.0, -1.0, -1.0], [-0.2, 1.0, -0.3], [1.0, 1.0, 1.0]])
    chosen = torch.randint(3, (8 * 12,), generator=torch.Generator().manual_seed(0))
    painting = near[chosen].T.reshape(1, 3, 8, 12)
    painting = painting + 0.05 * torch.randn(painting.shape, generator=torch.Generator().manual_seed(1))
    repainted = repaint(painting, picture, colours=3, seed=0)
    torch.testing.assert_close(repainted, theirs[chosen].T.reshape(1, 3, 8, 12), atol=1e-5, rtol=0)


@pytest.mark.parametrize("format", FORMATS.values())
def test_clips_are_played_without_end(format):
    clip = torch.linspace(-1, 1, 5)[:, None, None, None].expand(-1, 1, 6, 200)
    file = Image.open(io.BytesIO(encode(clip, 8, format)))
    assert file.n_frames == 5
    assert file.info["loop"] == 0
    assert file.size == (400, 12)  # small frames are enlarged by a whole factor
    for number in range(5):
        file.seek(number)
        file.load()
        level = np.asarray(file.convert("RGB")).mean()
        assert level == pytest.approx(255 * number / 4, abs=1.5)
    assert file.info["duration"] == pytest.approx(125, abs=6)
