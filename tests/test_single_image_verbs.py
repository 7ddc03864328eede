"""What ``ganrun sample`` makes of a run that learnt one picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_runs import QUIET, SMALL, play, settings

from ganrun.config.sample import sample
from ganrun.core.errors import RunError

SIZE = (40, 27)  # of the picture that the run learns, width first


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyramid")
    data = [
        "dataset=single_image",
        *SMALL["singan"],
        *QUIET,
        "trainer.batch_size=1",
        "trainer.steps=20",
    ]  # batch norm must have seen something
    play(folder, *data)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A painting, and a mask of its left half."""
    folder = tmp_path_factory.mktemp("files")
    pixels = np.zeros((54, 80, 3), np.uint8)
    pixels[:27] = (90, 160, 250)
    Image.fromarray(pixels).save(folder / "painting.png")
    mask = np.zeros((54, 80), np.uint8)
    mask[:, :40] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    return {"inject": str(folder / "painting.png"), "mask": str(folder / "mask.png")}


def single(run, tmp_path, **options):
    folder = sample(settings(run, files="single", output=str(tmp_path / "out"), **options))
    (path,) = folder.glob("*.png")
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def test_an_injection_in_files(run, files, tmp_path):
    pixels = single(run, tmp_path, inject=files["inject"], start_scale=1)
    assert pixels.shape == (27, 40, 3)
    whole = single(run, tmp_path, count=1, start_scale=1)
    assert np.abs(pixels - whole).mean() > 20  # the painting is unlike the picture
    masked = single(run, tmp_path, start_scale=1, dilate=2, blur=1.0, **files)
    assert np.abs(masked[:, :15] - pixels[:, :15]).max() <= 1
    assert np.abs(masked[:, 30:] - pixels[:, 30:]).mean() > 20
    repainted = single(run, tmp_path, inject=files["inject"], start_scale=1, quantise=5)
    assert np.abs(repainted - pixels).mean() > 2


def test_without_a_start_scale_all_are_shown(run, files):
    with Image.open(sample(settings(run, inject=files["inject"], count=3))) as picture:
        shown = picture.size
    with Image.open(sample(settings(run, inject=files["inject"], count=3, start_scale=1))) as picture:
        assert picture.size == shown  # there are two scales, so that there is one to start from
    assert shown[0] > shown[1] * 3  # the painting and three samples
    with pytest.raises(RunError, match="samples of one start_scale"):
        sample(settings(run, inject=files["inject"], files="single"))


def test_enlargements(run, tmp_path, caplog):
    caplog.set_level("INFO")
    assert single(run, tmp_path, upscale=3.0).shape == (81, 120, 3)
    path = sample(settings(run, upscale=3.0, count=2))
    assert "passes that enlarge by" in caplog.text
    with Image.open(path) as picture:
        assert picture.width > 3 * picture.height  # bicubic and two samples


@pytest.mark.parametrize(("name", "format"), [(None, "GIF"), ("walk.webp", "WEBP"), ("walk.png", "PNG")])
def test_animations(run, tmp_path, name, format):
    output = name and str(tmp_path / name)
    path = sample(settings(run, animate=True, frames=4, fps=5, output=output))
    with Image.open(path) as clip:
        assert clip.format == format
        assert clip.n_frames == 4
        assert clip.width / clip.height == pytest.approx(SIZE[0] / SIZE[1], rel=0.01)
    events = EventAccumulator(str(run))
    events.Reload()
    (*_, image) = events.Images("samples/animation")
    assert image.encoded_image_string.startswith(b"GIF8")
    assert (image.width, image.height) == SIZE


def test_the_same_seed_makes_the_same_clip_and_unlike_settings_unlike_names(run):
    paths = [sample(settings(run, animate=True, frames=3, **options)) for options in ({}, {"pull": 0.2}, {"seed": 1})]
    assert len(set(paths)) == 3
    assert len({path.read_bytes() for path in paths}) == 3
    content = paths[0].read_bytes()
    assert sample(settings(run, animate=True, frames=3)).read_bytes() == content


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"quantise": 5}, "quantise is about an injected picture"),
        ({"upscale": 2.0, "animate": True}, "Give one of them"),
        ({"upscale": 2.0, "arithmetic": "1 + 2"}, "Give one of them"),
        ({"animate": True, "output": "clip.mp4"}, r"end in \.gif, \.png, \.webp"),
        ({"animate": True, "width": 2.0}, "Leave height and width"),
        ({"animate": True, "start_scale": 7}, "scales are 0 to 1"),
        ({"upscale": 0.5}, "above 1"),
        ({"inject": "nowhere.png"}, "cannot be read"),
    ],
)
def test_mistakes_are_told(run, options, told):
    with pytest.raises(RunError, match=told):
        sample(settings(run, **options))


def test_other_games_are_told_to_leave_it_out(tmp_path):
    play(tmp_path, "dataset=ring", *SMALL["toy"], *QUIET, "trainer.batch_size=8", "trainer.steps=1")
    with pytest.raises(RunError, match="upscale is for SinGAN, and this run is one of AdversarialGame"):
        sample(settings(tmp_path, upscale=2.0))
