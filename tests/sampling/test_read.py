"""Images that any program made."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import DataError
from ganrun.core.facts import Facts
from ganrun.metrics.base import quantise
from ganrun.sampling.read import ImageFiles

GREY = Facts(kind="images", shape=(1, 6, 5), count=(10,), classes=3)
COLOUR = Facts(kind="images", shape=(3, 6, 5), count=(10,))
CPU = torch.device("cpu")


def write(folder, count, mode="L", suffix="png", size=(5, 6), classes=0):
    """Pictures whose every level is their number; a dictionary from number to pixels."""
    generator = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class_{number % classes}" if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        level = generator.integers(256, size=(size[1], size[0]) + ((3,) if mode == "RGB" else ()), dtype=np.uint8)
        level.flat[0] = number
        Image.fromarray(level).save(place / f"{number:04d}.{suffix}")
    return str(folder)


def test_every_image_is_handed_out_once_exactly_and_in_one_order(tmp_path):
    path = write(tmp_path / "images", 23)
    drawn = []
    for parts in ((23,), (10, 13)):
        files = ImageFiles(path, GREY)
        assert len(files) == 23
        drawn.append(quantise(torch.cat([files.take(part, CPU) for part in parts])))
    assert torch.equal(*drawn)
    numbers = drawn[0][:, 0, 0, 0].tolist()
    assert sorted(numbers) == list(range(23))
    assert numbers != sorted(numbers)
    with Image.open(tmp_path / "images" / f"{numbers[4]:04d}.png") as picture:
        assert np.array_equal(drawn[0][4, 0].numpy(), np.asarray(picture))


def test_a_zip_is_the_same_as_its_directory(tmp_path):
    path = write(tmp_path / "images", 5, mode="RGB")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", path)
    one, other = (ImageFiles(place, COLOUR).take(5, CPU) for place in (path, archive))
    assert torch.equal(one, other)
    assert one.shape == (5, 3, 6, 5)


def test_grey_saved_as_colour_is_grey_and_grey_serves_as_colour(tmp_path):
    path = write(tmp_path / "grey", 4)
    (tmp_path / "colour").mkdir()
    for file in (tmp_path / "grey").glob("*.png"):
        Image.open(file).convert("RGB").save(tmp_path / "colour" / file.name)
    grey = ImageFiles(path, GREY).take(4, CPU)
    assert torch.equal(ImageFiles(str(tmp_path / "colour"), GREY).take(4, CPU), grey)
    assert torch.equal(ImageFiles(path, COLOUR).take(4, CPU), grey.expand(-1, 3, -1, -1))


def test_folders_are_classes_where_there_are_as_many(tmp_path):
    images, labels = ImageFiles(write(tmp_path / "three", 9, classes=3), GREY).take(9, CPU)
    assert torch.equal(quantise(images)[:, 0, 0, 0] % 3, labels)
    assert isinstance(ImageFiles(write(tmp_path / "two", 9, classes=2), GREY).take(9, CPU), torch.Tensor)


@pytest.mark.parametrize(
    ("make", "facts", "told"),
    [
        (lambda folder: write(folder, 3, size=(8, 8)), GREY, "are 1x8x8, the data's 1x6x5"),
        (lambda folder: write(folder, 3, mode="RGB"), GREY, "have colours, and the data are grey"),
        (lambda folder: str(folder), GREY, "does not exist.*Set generated="),
        (
            lambda folder: [write(folder, 3), write(folder / "more", 1, size=(9, 9))][0],
            GREY,
            "differ in size.*are scored",
        ),
        (lambda folder: [write(folder, 3), (folder / "x.png").write_text("no")][0], GREY, "x.png .*cannot be decoded"),
    ],
)
def test_images_that_cannot_be_compared_are_refused(tmp_path, make, facts, told):
    with pytest.raises(DataError, match=told) as caught:
        ImageFiles(make(tmp_path / "images"), facts)
    assert "dataset.path" not in str(caught.value)
    assert "on_corrupt" not in str(caught.value)
