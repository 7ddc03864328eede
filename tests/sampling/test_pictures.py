from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.types import Grid, Scatter, Surface
from ganrun.report.samples import first_cells
from ganrun.sampling.pictures import LINES, PADDING, PADDING_LEVEL, WIDTH, _font, draw, save, wrap


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


def test_texts_stand_before_rows_and_below_images():
    images = torch.full((4, 1, 100, 100), -1.0)
    plain, rows, captions = (
        draw(Grid(images, 2, *texts)).astype(int) for texts in ((), (("cat", "sparrow"),), ((), ("0", "1", "2", "3")))
    )
    margin = rows.shape[1] - plain.shape[1]
    assert rows.shape[0] == plain.shape[0]
    assert (rows[:, margin:] == plain).all()
    ink = (rows[:, :margin].max(2) > 150).nonzero()[0]
    middles = [2 + (number + 0.5) * (plain.shape[0] - 2) / 2 for number in (0, 1)]
    for row in ink:
        assert min(abs(row - middle) for middle in middles) < 12
    assert captions.shape[1] == plain.shape[1]
    strips = captions.shape[0] - plain.shape[0]
    assert strips > 20
    side = (plain.shape[0] - 2) // 2 - 2
    below = captions[2 + side : 2 + side + strips // 2, :, 0] > 150
    assert below[:, : side + 2].any()
    assert below[:, side + 2 :].any()
    assert not (captions[2 : 2 + side, 2 : 2 + side] > 0).any()


def test_captions_are_written_in_lines_of_the_width_of_their_image():
    for width in (60, 100, 300):
        for text in (
            "a small red square",
            "a dog runs on the beach beside a man " * 4,
            "Donaudampfschifffahrtsgesellschaft",
        ):
            lines = wrap(text, width)
            assert len(lines) <= LINES
            assert all(_font().getlength(line) <= width for line in lines)
            whole = " ".join(lines)
            assert whole == text.strip() or whole.endswith("...")
            assert text.startswith(lines[0].removesuffix("..."))
    assert wrap("one two three", 1000) == ["one two three"]
    assert wrap("  ", 100) == []


def test_as_many_captions_as_rows_stand_below_these():
    images = torch.full((6, 1, 100, 100), -1.0)
    plain, captioned = (
        draw(Grid(images, 3, captions=texts)) for texts in ((), ("", "a long caption over three images"))
    )
    assert captioned.shape[0] == plain.shape[0] + 18  # nothing below the first row
    side = (plain.shape[1] - 2) // 3
    ink = (captioned[-20:-2].max(2) > 150).any(0).nonzero()[0]
    assert ink.min() < 2 + 1.3 * side < 2 + 1.7 * side < ink.max()  # around the middle
    assert (captioned[: side + 2] == plain[: side + 2]).all()


def test_cells_are_found_beside_captions():
    random = torch.rand(36, 3, 20, 20) * 2 - 1
    captioned = draw(Grid(random, 6, captions=tuple(f"number {k}" for k in range(36))))
    cell = first_cells(captioned)
    factor = round(WIDTH / 120)
    assert cell.shape[1] % (20 * factor + PADDING) == PADDING
    assert cell.shape[0] % (20 * factor + PADDING + 18) == PADDING
    assert cell.shape[0] < captioned.shape[0]


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


def landscape(**changes):
    real = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    ramp = torch.linspace(0, 1, 20)
    parts = {
        "generated": torch.tensor([[0.5, -0.5]]).repeat(30, 1), "real": real, "score": ramp[:, None].repeat(1, 20),
        "places": torch.tensor([[0.0, 0.0], [-1.0, 1.0]]), "force": torch.tensor([[0.0, 5.0], [0.0, 0.0]]),
    }  # fmt: skip
    return Surface(**parts | changes)


def test_frame_is_a_square_around_the_real_points():
    scatter = Scatter(torch.full((3, 2), 50.0), torch.tensor([[0.0, 1.0], [4.0, 2.0], [1.0, 1.0]]))
    assert scatter.frame == ((pytest.approx(-0.6), pytest.approx(4.6)), (pytest.approx(-1.1), pytest.approx(4.1)))


def test_surface_has_its_first_row_at_the_bottom():
    pixels = draw(landscape()).astype(int)
    top, bottom = pixels[100, 60:600].mean(0), pixels[620, 60:600].mean(0)
    assert top[0] - top[2] > 100  # yellow: real
    assert bottom[2] - bottom[0] > 50  # blue: fake
    upside_down = draw(landscape(score=landscape().score.flip(0))).astype(int)
    assert abs(upside_down[620, 60:600].mean(0) - top).max() < 40


@pytest.mark.parametrize(
    "changes",
    [
        {"score": torch.zeros(20, 20)},
        {"score": torch.full((20, 20), float("nan"))},
        {"score": torch.eye(20).log()},
        {"force": torch.full((2, 2), float("nan"))},
        {"force": torch.zeros(2, 2)},
        {"generated": torch.full((4, 2), float("inf"))},
    ],
)
def test_surface_survives_what_diverged(changes):
    assert draw(landscape(**changes)).std() > 0


def test_a_report_finds_the_cells_beside_the_names_of_classes():
    picture = Grid(torch.rand(60, 1, 32, 32), 6, tuple(f"class {number}" for number in range(10)))
    cut = first_cells(draw(picture))
    plain = first_cells(draw(Grid(picture.images, 6)))
    assert cut.shape[0] == plain.shape[0]
    assert (cut[:, -plain.shape[1] :] == plain).all()
    assert plain.shape[1] < cut.shape[1] < draw(picture).shape[1]
