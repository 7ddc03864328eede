import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import DataError
from ganrun.data.label_maps import LabelMaps
from ganrun.data.palette import nearest_numbers, numbered, read_palette

DEFAULTS = {
    "split": "train",
    "layout": "auto",
    "map_side": "b",
    "palette": None,
    "pixels": "auto",
    "tolerance": 32.0,
    "size": None,
    "load_size": None,
    "crop": "center",
    "filter": "bicubic",
    "subset": None,
    "subset_seed": 0,
    "flip": False,
}
COLOURS = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 250]], dtype=np.uint8)


def label_maps(path, **changes):
    return LabelMaps(path=path if isinstance(path, list) else str(path), **DEFAULTS | changes)


def save(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("P")
        image.putdata(pixels.flatten().tolist())
        image.putpalette(COLOURS.flatten().tolist())
    image.save(path)


@pytest.fixture
def palette(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("name,red,green,blue\nground,0,0,0\nroof,200,0,0\nsky,0,0,250\n")
    return path


@pytest.fixture
def places():
    """``[3, 16, 16]`` classes of three maps: the third of a column, shifted by the number of the map."""
    columns = np.arange(16)[None, None] + np.arange(3)[:, None, None]
    return np.broadcast_to(columns // 6 % 3, (3, 16, 16)).astype(np.uint8)


def photos_of(places):
    """Grey levels that tell class, column and row."""
    return np.stack([places * 60, *np.broadcast_arrays(*np.mgrid[:16, :16][:, None].astype(np.uint8), places)[:2]], 3)


@pytest.fixture
def pairs(tmp_path, places):
    for number, (photo, classes) in enumerate(zip(photos_of(places), places, strict=True)):
        save(tmp_path / "pairs" / "train" / f"{number}.png", np.concatenate([photo, COLOURS[classes]], axis=1))
    return tmp_path / "pairs"


def levels(images):
    return ((images + 1) * 127.5).round()


def test_colours_become_classes(pairs, palette, places):
    dataset = label_maps(pairs, palette=str(palette))
    assert dataset.facts.provides == {"images", "aligned", "label_maps"}
    assert (dataset.facts.condition_size, dataset.facts.condition_shape) == (3, (16, 16))
    assert dataset.facts.palette == (("ground", 0, 0, 0), ("roof", 200, 0, 0), ("sky", 0, 0, 250))
    batch = dataset.fetch((torch.tensor([2, 0]),))
    assert batch.condition.dtype == torch.int64
    assert torch.equal(batch.condition, torch.from_numpy(places[[2, 0]]).long())


@pytest.mark.parametrize("mode", ["L", "P"])
def test_numbers_are_classes(tmp_path, palette, places, mode):
    for number, (photo, classes) in enumerate(zip(photos_of(places), places, strict=True)):
        save(tmp_path / "photos" / f"{number}.jpg", photo)
        save(tmp_path / "maps" / f"{number}.png", classes, mode)
    both = [str(tmp_path / "photos"), str(tmp_path / "maps")]
    dataset = label_maps(both)
    assert dataset.facts.palette == numbered(3)
    assert dataset.facts.description.startswith("photos and maps: 3 images")
    assert torch.equal(dataset.examples(3).condition, torch.from_numpy(places).long())
    assert label_maps(both, palette=str(palette)).facts.palette[1][0] == "roof"
    swapped = label_maps(both[::-1], map_side="a")
    assert torch.equal(swapped.examples(3).condition, torch.from_numpy(places).long())
    if mode == "P":
        coloured = label_maps(both, palette=str(palette), pixels="colours")
        assert torch.equal(coloured.examples(3).condition, torch.from_numpy(places).long())


def test_maps_move_with_their_images(pairs, palette):
    dataset = label_maps(pairs, palette=str(palette), size=8, load_size=16, flip=True)
    torch.manual_seed(0)
    batch = dataset.fetch((torch.arange(60) % 3,))
    assert batch.condition.shape == (60, 8, 8)
    assert torch.equal(levels(batch.real)[:, 0], 60.0 * batch.condition)
    assert len(levels(batch.real)[:, 1, 0, 0].unique()) == 9


@pytest.mark.parametrize("size", [5, 24])
def test_maps_take_the_nearest_pixel(pairs, palette, size):
    """A mean of classes 0 and 2 would be class 1."""
    maps = label_maps(pairs, palette=str(palette), size=size).examples(1).condition[0]
    columns = ((torch.arange(size) + 0.5) * 16 / size).long()
    assert torch.equal(maps, (columns // 6)[None].expand(size, -1))


def test_nearest_colours(palette):
    classes = read_palette(str(palette))
    pixels = np.array([[[10, 0, 0], [190, 20, 0], [0, 30, 240]]], dtype=np.uint8)
    assert nearest_numbers(pixels, classes, 32.0).tolist() == [[0, 1, 2]]
    random = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    distances = np.linalg.norm(random[:, :, None].astype(float) - COLOURS, axis=3)
    assert np.array_equal(nearest_numbers(random, classes, None), distances.argmin(2))
    with pytest.raises(DataError, match=r"the colour \(0, 30, 240\) \(1 pixels\); .* sky \(0, 0, 250\).* of 32, above"):
        nearest_numbers(pixels, classes, 31.0)
    nearest_numbers(pixels, classes, 31.7)  # √(30² + 10²) = 31.6


def test_unknown_colours_and_classes(pairs, palette, tmp_path, places):
    broken = COLOURS[places[0]].copy()
    broken[:2, :8], broken[5, 5] = (0, 200, 0), (0, 210, 0)
    save(pairs / "train" / "1.png", np.concatenate([photos_of(places)[1], broken], axis=1))
    with pytest.raises(DataError, match=r"train/1\.png in .* the colour \(0, 200, 0\) \(16 pixels\) and 1 more"):
        label_maps(pairs, palette=str(palette))
    assert label_maps(pairs, palette=str(palette), tolerance=None).facts.condition_size == 3
    with pytest.raises(DataError, match=r"train/0\.png in .*has colours \(RGB\), and nothing says of which"):
        label_maps(pairs)
    with pytest.raises(DataError, match=r"not numbers of classes\. Set dataset\.pixels=colours"):
        label_maps(pairs, palette=str(palette), pixels="numbers")
    save(tmp_path / "n" / "trainA" / "0.png", photos_of(places)[0])
    save(tmp_path / "n" / "trainB" / "0.png", places[0] + 3)
    with pytest.raises(DataError, match=r"trainB/0\.png in .*has the class 5, and the palette has the classes 0 to 2"):
        label_maps(tmp_path / "n", palette=str(palette))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roof,200,0,0\n", r"line 1: the first line of a palette must be name,red,green,blue"),
        ("name,red,green,blue\nroof,200,0\n", r"line 2: 'roof,200,0' is not a name and three numbers"),
        ("name,red,green,blue\na,1,2,3\nroof,200,0,256\n", r"line 3: .* from 0 to 255"),
        ("name,red,green,blue\na,1,2,3\nb,1,2,3\n", r"line 3: another class has this colour"),
        ("name,red,green,blue\n", r"has 0 classes"),
    ],
)
def test_malformed_palettes(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_palette(str(tmp_path / "p.csv"))


def test_palettes_that_come_along():
    facades = read_palette("facades")
    assert [name for name, *_ in facades][:4] == ["background", "facade", "window", "door"]
    assert len(facades) == 12
    with pytest.raises(DataError, match=r"no palette facade:.*with ganrun come facades"):
        read_palette("facade")
    assert len(set(numbered(256))) == 256


def test_two_places(tmp_path, places):
    save(tmp_path / "photos" / "x.png", photos_of(places)[0])
    save(tmp_path / "maps" / "y.png", places[0])
    with pytest.raises(DataError, match=r"x\.png has no partner in .*maps: partners"):
        label_maps([str(tmp_path / "photos"), str(tmp_path / "maps")])
    with pytest.raises(DataError, match=r"has no 'mapz'\. Did you mean maps"):
        label_maps([str(tmp_path / "photos"), str(tmp_path / "mapz")])
    with pytest.raises(DataError, match=r"a list of 1\. Name two places"):
        label_maps([str(tmp_path / "photos")])


def test_facades(shared_data):
    pack = shared_data / "facades" / "facades-256.zip"
    dataset = label_maps(pack, palette="facades", tolerance=None, size=64, subset=20)
    shares = dataset.examples(20).condition.flatten().bincount(minlength=12) / (20 * 64 * 64)
    assert shares[1] > 0.25  # walls
    assert 0.05 < shares[2] < 0.25  # windows
    with pytest.raises(DataError, match=r"dataset\.tolerance=null"):  # JPEG maps
        label_maps(pack, palette="facades", subset=2)
