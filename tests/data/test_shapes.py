import numpy as np
import pytest
import torch

from ganrun.core.errors import DataError
from ganrun.data.shapes import COLOURS, KINDS, PALETTE, Shape, Shapes, captions, label_map, outlines, render
from ganrun.data.text import HashedNgrams


def shapes(goes_with, size=32, count=24, seed=0, flip=False):
    return Shapes(goes_with, size, count, seed, HashedNgrams(64), flip)


@pytest.mark.parametrize(
    ("goes_with", "traits"),
    [
        ("labels", {"images", "labels"}),
        ("images", {"images", "aligned"}),
        ("maps", {"images", "aligned", "label_maps"}),
        ("texts", {"images", "captions"}),
        ("another_domain", {"images", "two_domains"}),
    ],
)
def test_what_goes_with_them(goes_with, traits):
    dataset = shapes(goes_with)
    assert dataset.facts.provides == traits <= set(Shapes.provides)
    assert dataset.facts.count == ((24, 24) if goes_with == "another_domain" else (24,))
    batch = dataset.fetch(tuple(torch.arange(5) for _ in dataset.facts.count))
    assert batch.real.shape == (5, 3, 32, 32)
    if goes_with in ("images", "maps", "texts"):
        assert batch.condition.shape[1:] == dataset.facts.condition_shape
    assert shapes(goes_with).facts == dataset.facts
    assert shapes(goes_with, seed=1).facts.fingerprint != dataset.facts.fingerprint


def test_the_class_is_the_kind_of_all_shapes():
    labelled, mapped = shapes("labels"), shapes("maps", count=60)
    assert labelled.facts.class_names == KINDS
    assert labelled.labels.bincount().tolist() == [8, 8, 8]
    maps = mapped.examples(60).condition
    assert set(maps.unique().tolist()) == {0, 1, 2, 3}
    assert maps.max() < mapped.facts.condition_size == len(PALETTE)
    a, b = shapes("another_domain").examples(24).domains
    assert not torch.equal(a, b)


@pytest.mark.parametrize("kind", range(3))
def test_areas(kind):
    """Of a circle πr², a square (2·0.85r)², and an equilateral triangle in the circle 3√3/4 r²."""
    scene = [Shape(kind, "red", 0.5, 0.5, 0.2, (0, 0))]
    area = [np.pi, 1.7**2, 3 * np.sqrt(3) / 4][kind] * (0.2 * 256) ** 2
    assert (label_map(scene, 256) == 1 + kind).sum() == pytest.approx(area, rel=0.03)
    assert set(np.unique(label_map(scene, 256))) == {0, 1 + kind}


def test_pictures_agree_with_their_maps_and_outlines():
    scene = [Shape(0, "red", 0.25, 0.25, 0.2, (0, 0)), Shape(1, "blue", 0.75, 0.75, 0.2, (1, 1))]
    image = render(scene, 64, np.random.default_rng(0)).astype(int)
    classes = label_map(scene, 64)
    for kind, colour in ((1, "red"), (2, "blue")):
        mean = image[classes == kind].mean(0)
        assert np.abs(mean / mean.sum() - np.array(COLOURS[colour]) / sum(COLOURS[colour])).max() < 0.05
    background = image[classes == 0]
    assert np.ptp(background.mean(0)) < 12  # grey, but for the smooth edges
    lines = outlines(scene, 64)
    assert {tuple(map(int, colour)) for colour in np.unique(lines.reshape(-1, 3), axis=0)} == {
        (255, 255, 255),
        COLOURS["red"],
        COLOURS["blue"],
    }
    assert (lines[classes == 0] == 255).mean() > 0.9


def test_captions():
    first, second, third = (
        Shape(0, "red", 0.25, 0.25, 0.2, (0, 0)),
        Shape(1, "blue", 0.75, 0.25, 0.2, (1, 0)),
        Shape(2, "green", 0.75, 0.75, 0.2, (1, 1)),
    )
    assert captions([first])[0] == "a red circle"
    assert captions([first, second]) == (
        "a red circle above a blue square",
        "a blue square below a red circle",
        "a red circle and a blue square",
    )
    assert captions([second, third])[0] == "a blue square left of a green triangle"
    assert captions([third, second, first])[1:] == (
        "a blue square left of a green triangle, and a red circle",
        "a green triangle, a blue square and a red circle",
    )


def test_captioned_shapes_are_not_mirrored():
    with pytest.raises(DataError, match=r"left and right.*dataset\.flip=false"):
        shapes("texts", flip=True)
    batch = shapes("texts").examples(4)
    assert len(batch.texts) == 4
    assert torch.equal(batch.condition, HashedNgrams(64).encode(batch.texts, ()))


def test_maps_are_mirrored_with_their_images():
    torch.manual_seed(0)
    indices = torch.zeros(40, dtype=torch.int64)
    plain, flipped = shapes("maps").fetch((indices,), augment=False), shapes("maps", flip=True).fetch((indices,))
    mirrored = (flipped.real != plain.real).flatten(1).any(1)
    assert 8 < int(mirrored.sum()) < 32
    assert torch.equal(flipped.condition[mirrored], plain.condition[mirrored].flip(2))
    assert torch.equal(flipped.condition[~mirrored], plain.condition[~mirrored])
