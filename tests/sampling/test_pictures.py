from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.types import Grid, Scatter
from ganrun.sampling.pictures import PADDING, PADDING_LEVEL, WIDTH, draw, save


def test_grid_places_images_row_by_row():
    levels = [0, 50, 100, 150, 200]
    images = torch.stack([torch.full((3, 400, 400), level / 127.5 - 1) for level in levels])
    images[:, 1] = -1
    pixels = draw(Grid(images, columns=3))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (2 * 402 + 2, 3 * 402 + 2, 3)
    for index, level in enumerate(levels):
        top, left = 2 + 402 * (index // 3), 2 + 402 * (index % 3)
        assert (pixels[top : top + 400, left : left + 400] == [level, 0, level]).all()
    assert (pixels[404:, 806:] == PADDING_LEVEL).all()  # the sixth cell is empty
    assert (pixels[:PADDING] == PADDING_LEVEL).all()
    assert (pixels[:, -PADDING:] == PADDING_LEVEL).all()
    assert (pixels[402:404] == PADDING_LEVEL).all()


def test_small_grey_images_are_enlarged_by_whole_pixels():
    image = torch.tensor([[-1.0, 1.0], [0.2, -0.5]])
    pixels = draw(Grid(image.expand(64, 1, 2, 2), columns=8))
    factor = round(WIDTH / 16)
    expected = np.kron(np.array([[0, 255], [153, 64]]), np.ones((factor, factor)))
    assert (pixels[2 : 2 + 2 * factor, 2 : 2 + 2 * factor, 1] == expected).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()
    assert 600 <= pixels.shape[1] <= 800
    assert 600 <= draw(Grid(torch.zeros(64, 1, 32, 32), columns=8)).shape[1] <= 850


def test_fewer_images_than_columns_and_images_that_are_not_square():
    assert draw(Grid(torch.zeros(3, 1, 100, 300), columns=8)).shape == (104, 908, 3)


def test_grid_refuses_other_channels():
    with pytest.raises(ValueError, match="1 or 3 channels, got 2"):
        draw(Grid(torch.zeros(4, 2, 8, 8), columns=2))


def test_saved_picture_can_be_read(tmp_path):
    pixels = draw(Grid(torch.rand(4, 3, 8, 8) * 2 - 1, columns=2))
    save(pixels, tmp_path / "new" / "grid.png")
    assert (np.asarray(Image.open(tmp_path / "new" / "grid.png")) == pixels).all()


def coloured(pixels):
    """Pixels that are clearly blue."""
    return (pixels[..., 2].astype(int) - pixels[..., 0] > 60).nonzero()


def test_scatter_shows_generated_points_where_they_are():
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    pixels = draw(Scatter(generated=torch.tensor([[1.0, 1.0]]).repeat(50, 1), real=corners))
    assert pixels.shape[1] == 1000
    left = pixels[40:, :500]
    rows, columns = coloured(left)
    at_point = (rows < 260) & (columns > 300)  # upper right of the left panel: the point, and the legend's mark
    assert at_point.all()
    assert len(rows) > 20
    assert len(coloured(draw(Scatter(corners * 100, corners))[60:, :500])[0]) < 60  # nothing but the legend


def test_scatter_survives_outliers_and_points_that_are_not_finite():
    real = torch.randn(200, 2)
    broken = torch.tensor([[float("nan"), 0.0], [float("inf"), 1.0], [1e30, 0.0], [0.0, 0.0]])
    assert draw(Scatter(broken, real)).std() > 0
    assert draw(Scatter(broken[:2], real[:1])).std() > 0


def test_drawing_leaves_no_open_figures():
    import matplotlib.pyplot as plt

    draw(Scatter(torch.randn(10, 2), torch.randn(10, 2)))
    assert plt.get_fignums() == []
