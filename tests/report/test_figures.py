"""Figures: what is drawn in them, whatever the runs are like."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from synthetic import draw_grid

from ganrun.report import samples
from ganrun.report.figures import (
    COLOURS,
    LEADERS,
    NOT_TYPED,
    Candidate,
    Metric,
    final_scores,
    importance_bars,
    learning_curves,
    mean_and_range,
    parallel_coordinates,
    short_keys,
    shortened,
    time_and_score,
    upright,
)
from ganrun.report.illustrations import save

FID = Metric("fid", lower_is_better=True)
KEYS = ["loss", "optimizer.generator.lr"]


def candidate(number: int, seeds: int = 3, steps: int = 4) -> Candidate:
    """The larger its number, the worse."""
    values = {"loss": f"loss{number % 4}", "optimizer.generator.lr": f"{number + 1}e-4"}
    curves = [[(100 * (1 + step), 10.0 + number + 0.1 * seed) for step in range(steps)] for seed in range(seeds)]
    scores = [curve[-1][1] for curve in curves]
    interval = (min(scores), max(scores)) if seeds >= 3 else None
    return Candidate(f"setting {number}", values, curves, scores, interval, 60.0 + number, None)


def texts(figure) -> list[str]:
    """Everything that is written in a figure, once it has been drawn."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def colours_of(lines) -> list[str]:
    return [to_hex(line.get_color()) for line in lines]


def test_mean_and_range_are_of_the_seeds_that_have_come_so_far():
    curves = [[(1, 1.0), (2, 2.0), (3, 9.0)], [(1, 3.0), (2, math.nan), (3, 11.0)], [(1, 5.0)]]
    steps, mean, low, high = mean_and_range(curves)
    assert steps == [1, 3]  # one seed has no value at 2, and a mean without it would jump
    assert mean == [3.0, 10.0]
    assert (low, high) == ([1.0, 9.0], [5.0, 11.0])
    assert mean_and_range([[], [(1, math.inf)]]) == ([], [], [], [])


@pytest.mark.parametrize("count", [2, LEADERS, 60])
def test_one_line_per_setting_and_a_colour_for_each_of_the_best(count):
    figure = learning_curves([candidate(number) for number in range(count)], FID)
    (axes,) = figure.axes
    assert len(axes.lines) == count
    assert len(axes.collections) == min(count, LEADERS)  # bands
    shown = colours_of(axes.lines)[::-1]  # the best is drawn last
    assert shown[:LEADERS] == list(COLOURS[:count])
    assert len(set(shown[LEADERS:])) == (count > LEADERS)
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    others = [f"{count - LEADERS} others"] if count > LEADERS else []
    assert named == [f"setting {number}" for number in range(min(count, LEADERS))] + others
    assert axes.get_ylabel() == "fid (lower is better)"


def test_a_single_step_is_seen_and_one_seed_has_no_band():
    (axes,) = learning_curves([candidate(number, seeds=1, steps=1) for number in range(8)], FID).axes
    assert all(line.get_marker() not in (None, "None") for line in axes.lines)
    assert not axes.collections


def test_scores_that_span_decades_get_a_logarithmic_axis():
    wide = Candidate("wide", {}, [[(1, 400.0), (2, 4.0)]])
    assert learning_curves([wide], FID).axes[0].get_yscale() == "log"
    assert learning_curves([candidate(0)], FID).axes[0].get_yscale() == "linear"
    assert learning_curves([Candidate("negative", {}, [[(1, 400.0), (2, -4.0)]])], FID).axes[0].get_yscale() == "linear"


def test_final_scores_show_every_seed_the_mean_and_the_interval():
    figure = final_scores([candidate(0), candidate(1, seeds=1), Candidate("failed", {})], FID)
    (axes,) = figure.axes
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    assert [list(each) for each in dots] == [pytest.approx([10.0, 10.1, 10.2]), [11.0]]
    means = [float(np.squeeze(line.get_xdata())) for line in axes.lines if line.get_marker() == "|"]
    assert means == pytest.approx([10.1, 11.0])
    intervals = [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 5]
    assert intervals == [pytest.approx([10.0, 10.2])]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["setting 0", "setting 1", "failed"]
    assert axes.yaxis_inverted()  # the best on top
    assert "no final score" in texts(figure)


def test_parallel_coordinates_have_a_line_per_setting_and_end_at_the_score():
    shown = [candidate(0), candidate(1), Candidate("failed", {"loss": "loss0"})]
    figure = parallel_coordinates(shown, KEYS, FID)
    lines = [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert sorted(map(len, lines)) == [2, 2, 2, 2, 3, 3]  # three axes and the failed one; those with a score
    ends = sorted(line[-1] for line in lines if len(line) == 3)
    assert ends == [0.0, 1.0]
    written = texts(figure)
    assert {"loss", "lr", "loss0", "loss1", "1e-4", "2e-4", NOT_TYPED, "fid\n(lower is better)"} <= set(written)


def test_dark_is_good_in_either_direction():
    def luminance(lower_is_better: bool) -> list[float]:
        axes = parallel_coordinates([candidate(0), candidate(1)], KEYS, Metric("m", lower_is_better)).axes[0]
        by_end = sorted(
            (line.get_ydata()[-1], sum(line.get_color()[:3])) for line in axes.lines if len(line.get_ydata()) == 3
        )
        return [brightness for _, brightness in by_end]

    low, high = luminance(True)
    assert low < high
    low, high = luminance(False)
    assert low > high


def test_numbers_stand_to_scale_and_others_in_equal_steps():
    even = upright(["1e-4", "1e-3", "1e-2", "1e-3"], 8)
    assert [even.heights[text] for text in ("1e-4", "1e-3", "1e-2")] == pytest.approx([0, 0.5, 1])  # logarithmic
    linear = upright(["1", "2", "5"], 8)
    assert linear.heights["2"] == pytest.approx(0.25)
    words = upright(["wgan", "hinge", "3"], 8)
    assert words.heights == {"3": 0.0, "hinge": 0.5, "wgan": 1.0}
    left_out = upright(["16", NOT_TYPED, "32"], 8)
    assert left_out.heights[NOT_TYPED] == 0.0
    assert 0.1 < left_out.heights["16"] < left_out.heights["32"] == 1.0
    assert upright(["nan", "1"], 8).heights == {"1": 0.0, "nan": 1.0}
    assert upright(["7", "7"], 8).heights == {"7": 0.5}


def test_many_numbers_get_few_ticks():
    axis = upright([str(number) for number in range(100)], 8)
    assert [text for _, text in axis.ticks] == ["0", "24.8", "49.5", "74.2", "99"]
    assert axis.slack == 0  # what is to scale is not moved


def test_importance_is_sorted_and_never_negative():
    (axes,) = importance_bars({"seed": -0.01, "loss": 0.7, "lr": 0.2, "odd": math.nan}, FID).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["loss", "lr", "seed"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([70, 20, 0])
    assert [text.get_text() for text in axes.texts] == ["70 %", "20 %", "0 %"]


def test_time_and_score_leave_out_what_is_not_known():
    known = Candidate("known", {}, (), [5.0], None, 7200.0, 2.0)
    small = Candidate("small", {}, (), [6.0], None, 600.0, 0.5)
    unknown = [Candidate("no time", {}, (), [5.0]), Candidate("no score", {}, (), [math.nan], None, 60.0)]
    (axes,) = time_and_score([known, small, *unknown], FID).axes
    assert len(axes.collections) == 2
    assert sorted(points.get_offsets()[0][0] for points in axes.collections) == [10.0, 120.0]
    assert axes.get_xlabel() == "minutes per run (largest marker: 2 GiB of memory)"


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param([Candidate("a", {}), Candidate("b", {})], id="no scores"),
        pytest.param([candidate(0, steps=1)], id="one"),
        pytest.param(
            [Candidate("a", {"loss": "x"}, [[(1, math.nan)]], [math.nan], (math.nan, math.nan), 1.0)], id="nan"
        ),
        pytest.param([candidate(number) for number in range(60)], id="many"),
        pytest.param([candidate(0), candidate(0)], id="equal"),
    ],
)
def test_everything_can_be_drawn(shown, tmp_path):
    figures = [draw(shown, FID) for draw in (learning_curves, final_scores, time_and_score)]
    figures += [parallel_coordinates(shown, KEYS, FID), importance_bars({}, FID)]
    for number, figure in enumerate(figures):
        save(figure, tmp_path / f"{number}.svg")
        assert "<svg" in (tmp_path / f"{number}.svg").read_text()


def test_equal_figures_give_equal_files(tmp_path):
    for name in ("one", "two"):
        save(learning_curves([candidate(0)], FID), tmp_path / name / "curves.svg")
    assert (tmp_path / "one" / "curves.svg").read_bytes() == (tmp_path / "two" / "curves.svg").read_bytes()


def test_keys_are_as_short_as_tells_them_apart():
    keys = ["optimizer.generator.lr", "optimizer.discriminator.lr", "loss", "trainer.steps"]
    assert short_keys(keys) == ["generator.lr", "discriminator.lr", "loss", "steps"]
    assert short_keys(["lr", "optimizer.lr"]) == ["lr", "optimizer.lr"]
    assert short_keys([]) == []


def test_long_labels_lose_their_middle():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 7) == "abc…ijk"


def test_grids_are_cut_between_images(tmp_path):
    draw_grid(tmp_path / "grid.png", columns=8, size=30)
    pixels = samples.read_picture(tmp_path / "grid.png")
    assert pixels.shape == (4 * 32 + 2, 4 * 32 + 2, 3)
    assert (pixels[-2:] == samples.PADDING_LEVEL).all()
    draw_grid(tmp_path / "small.png", columns=3, size=30)
    assert samples.read_picture(tmp_path / "small.png").shape == (3 * 32 + 2, 3 * 32 + 2, 3)


def test_other_pictures_are_kept_whole_but_not_too_wide(tmp_path):
    Image.new("RGB", (1000, 500), "white").save(tmp_path / "scatter.png")
    assert samples.read_picture(tmp_path / "scatter.png").shape == (320, 640, 3)
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n")
    assert samples.read_picture(tmp_path / "cut.png") is None


def test_the_newest_picture_of_the_samples_is_shown(tmp_path):
    names = ["generated_00000100", "generated_00001000", "surface_00002000", "mine"]
    assert samples.newest_picture([tmp_path / f"{name}.png" for name in names]).stem == "generated_00001000"
    assert samples.newest_picture([tmp_path / "b_00000001.png", tmp_path / "a_00000001.png"]).stem == "a_00000001"
    assert samples.newest_picture([tmp_path / "mine.png"]) is None


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_samples_stand_side_by_side(count):
    pictures = [(f"setting {number}", np.full((20, 20, 3), number, np.uint8)) for number in range(count)]
    figure = samples.side_by_side(pictures)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in shown] == [label for label, _ in pictures]
