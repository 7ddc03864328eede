import io
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganrun.core.errors import DataError
from ganrun.core.types import READ_AHEAD
from ganrun.data.image_folder import ImageFolder

DEFAULTS = {
    "subfolder": None,
    "size": None,
    "crop": "center",
    "filter": "bicubic",
    "on_corrupt": "stop",
    "subset": None,
    "subset_seed": 0,
    "flip": False,
}


def folder(path, **changes):
    return ImageFolder(path=str(path), **DEFAULTS | changes)


def picture(path: Path, seed: int, size=(8, 8), mode="RGB") -> np.ndarray:
    """Write a random image without loss and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def uint8(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def everything(dataset):
    return dataset.fetch(tuple(torch.arange(count) for count in dataset.facts.count))


def archive(tree: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(tree.rglob("*")):
            file.write(member, member.relative_to(tree))
    return path


def test_pixels_survive_exactly_and_directory_equals_zip(tmp_path):
    pixels = [picture(tmp_path / "tree" / f"{i}.png", i) for i in range(5)]
    direct = folder(tmp_path / "tree")
    assert direct.facts.shape == (3, 8, 8)
    assert direct.facts.count == (5,)
    assert direct.facts.provides == {"images"}
    real = everything(direct).real
    assert real.dtype == torch.float32
    assert real.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(uint8(real), np.stack(pixels))
    packed = folder(archive(tmp_path / "tree", tmp_path / "tree.zip"))
    assert torch.equal(everything(packed).real, real)
    assert packed.facts.fingerprint == direct.facts.fingerprint


def test_normalised_range_is_exact(tmp_path):
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[0] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    real = everything(folder(tmp_path)).real
    assert real.min() == -1
    assert real.max() == 1


def test_class_folders_give_labels_in_alphabetical_order(tmp_path):
    for number, name in enumerate(["cat", "ant", "bee"]):
        for i in range(number + 1):
            picture(tmp_path / "wrapper" / name / f"{i}.png", 10 * number + i)
    dataset = folder(tmp_path)
    assert dataset.facts.classes == 3
    condition = everything(dataset).condition
    assert condition.dtype == torch.int64
    assert condition.tolist() == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("names", [["a.png", "b.png"], ["images/a.png", "images/b.png"], ["a.png", "more/b.png"]])
def test_no_labels_without_class_folders(tmp_path, names):
    for i, name in enumerate(names):
        picture(tmp_path / name, i)
    dataset = folder(tmp_path)
    assert dataset.facts.classes == 0
    assert everything(dataset).condition is None


def test_splits_are_not_taken_for_classes(tmp_path):
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png"):
        picture(tmp_path / name, 0)
    with pytest.raises(DataError, match=r"splits of the data \(test, train\).*dataset\.subfolder=test"):
        folder(tmp_path)
    assert folder(tmp_path, subfolder="train").facts.count == (2,)
    with pytest.raises(DataError, match="Did you mean train"):
        folder(tmp_path, subfolder="trian")


def test_grey_only_if_all_are_grey(tmp_path):
    grey = picture(tmp_path / "a.png", 0, mode="L")
    picture(tmp_path / "b.png", 1, mode="L")
    assert folder(tmp_path).facts.shape == (1, 8, 8)
    picture(tmp_path / "c.png", 2)
    dataset = folder(tmp_path)
    assert dataset.facts.shape == (3, 8, 8)
    np.testing.assert_array_equal(uint8(everything(dataset).real)[0], np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bits_transparency_and_orientation(tmp_path):
    Image.fromarray(np.full((2, 2), 65535, dtype=np.uint16)).save(tmp_path / "a16.png")
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "b_clear.png")
    upright = Image.fromarray(np.array([[0, 255], [0, 255]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    upright.save(tmp_path / "c_turned.png", exif=exif)
    a, b, c = uint8(everything(folder(tmp_path)).real)
    assert (a == 255).all()
    assert (b == 255).all()  # fully transparent: the white underneath, not the hidden red
    assert c[:, :, 0].tolist() == [[255, 0], [255, 0]]


def test_resize_and_crop(tmp_path):
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (uint8(everything(folder(tmp_path, size=5)).real) == 200).all()  # only the middle square
    own = folder(tmp_path, crop="none")
    assert own.facts.shape == (1, 10, 30)
    assert "own size" in own.facts.description
    stretched = uint8(everything(folder(tmp_path, size=6, crop="none", filter="box")).real)[0, :, :, 0]
    assert stretched[0].tolist() == [0, 0, 200, 200, 0, 0]


def test_filters_and_sizes_have_their_own_fingerprints(tmp_path):
    picture(tmp_path / "a.png", 0, size=(16, 16))
    prints = {
        folder(tmp_path, **change).facts.fingerprint for change in ({}, {"size": 8}, {"size": 8, "filter": "box"})
    }
    assert len(prints) == 3


def test_mixed_sizes_name_two_files_and_the_remedy(tmp_path):
    picture(tmp_path / "a.png", 0)
    picture(tmp_path / "b.png", 1, size=(9, 7))
    with pytest.raises(DataError, match=r"a\.png is 8x8, b\.png is 9x7.*dataset\.size=") as caught:
        folder(tmp_path, crop="none")
    assert str(tmp_path) in str(caught.value)
    assert folder(tmp_path, size=4).facts.count == (2,)


def test_corrupt_files_stop_or_are_skipped_by_name(tmp_path, caplog):
    for i, name in enumerate(["x/a.png", "x/c.png", "y/d.png"]):
        picture(tmp_path / name, i)
    (tmp_path / "x" / "b.png").write_bytes(b"this is no image")
    whole = (tmp_path / "y" / "d.png").read_bytes()
    (tmp_path / "y" / "e.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"x/b\.png .*dataset\.on_corrupt=skip"):
        folder(tmp_path)
    with caplog.at_level(logging.WARNING):
        dataset = folder(tmp_path, on_corrupt="skip")
    assert dataset.facts.count == (3,)
    assert everything(dataset).condition.tolist() == [0, 0, 1]
    assert "x/b.png" in caplog.text
    assert "y/e.png" in caplog.text


def test_nothing_readable(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="No readable image"):
        folder(tmp_path, on_corrupt="skip")


def test_wrong_places(tmp_path):
    with pytest.raises(DataError, match=r"dataset\.path="):
        ImageFolder(path=None, **DEFAULTS)
    (tmp_path / "flowers").mkdir()
    with pytest.raises(DataError, match="flowers holds no images"):
        folder(tmp_path / "flowers")
    with pytest.raises(DataError, match="Did you mean flowers"):
        folder(tmp_path / "flower" / "train")
    (tmp_path / "note.txt").write_text("text")
    with pytest.raises(DataError, match="neither a directory nor a ZIP"):
        folder(tmp_path / "note.txt")
    picture(tmp_path / "flowers" / "a.png", 0)
    damaged = archive(tmp_path / "flowers", tmp_path / "flowers.zip")
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"flowers\.zip"):
        folder(damaged)


def test_hidden_and_macos_files_are_left_out(tmp_path):
    for name in ("a.png", "._a.png", "__MACOSX/a.png", ".trash/b.png"):
        picture(tmp_path / name, 0)
    assert folder(tmp_path).facts.count == (1,)


def test_subset_is_balanced_deterministic_and_decoded_lazily(tmp_path):
    for name, count in {"a": 12, "b": 5, "c": 2}.items():
        for i in range(count):
            picture(tmp_path / name / f"{i}.png", i)
    dataset = folder(tmp_path, subset=9)
    labels = everything(dataset).condition
    assert torch.bincount(labels).tolist() == [4, 3, 2] or torch.bincount(labels).tolist() == [3, 4, 2]
    assert folder(tmp_path, subset=9).facts.fingerprint == dataset.facts.fingerprint
    assert folder(tmp_path, subset=9, subset_seed=1).facts.fingerprint != dataset.facts.fingerprint
    assert folder(tmp_path, subset=0.5).facts.count == (10,)
    assert folder(tmp_path, subset=1).facts.count == (1,)
    assert folder(tmp_path, subset=1.0).facts.count == (19,)
    for wrong in (0, 20, 1.5, -3):
        with pytest.raises(DataError, match=r"dataset\.subset"):
            folder(tmp_path, subset=wrong)
    for file in (tmp_path / "a").iterdir():
        file.write_bytes(b"broken")  # files outside the subset are never opened
    with pytest.raises(DataError, match="cannot be decoded"):
        folder(tmp_path, subset=9)


def test_flips_follow_the_seed_and_mirror(tmp_path):
    pixels = np.stack([picture(tmp_path / f"{i:02}.png", i) for i in range(40)])
    dataset = folder(tmp_path, flip=True)
    torch.manual_seed(3)
    first = everything(dataset).real
    torch.manual_seed(3)
    assert torch.equal(everything(dataset).real, first)
    assert not torch.equal(everything(dataset).real, first)
    mirrored = [np.array_equal(got, known[:, ::-1]) for got, known in zip(uint8(first), pixels, strict=True)]
    plain = [np.array_equal(got, known) for got, known in zip(uint8(first), pixels, strict=True)]
    assert all(m != p for m, p in zip(mirrored, plain, strict=True))
    assert 8 < sum(mirrored) < 32
    np.testing.assert_array_equal(uint8(dataset.examples(40).real), pixels)  # examples are never flipped


def test_examples_spread_over_sorted_classes(tmp_path):
    for name in "abcd":
        for i in range(5):
            picture(tmp_path / name / f"{i}.png", i)
    dataset = folder(tmp_path)
    assert dataset.examples(4).condition.tolist() == [0, 1, 2, 3]
    assert len(dataset.examples(100)) == 20


def test_streaming_equals_holding(tmp_path, monkeypatch):
    for i in range(12):
        picture(tmp_path / "ab"[i % 2] / f"{i}.png", i)
    held, streamed = folder(tmp_path), folder(tmp_path)
    monkeypatch.setattr("ganrun.data.storage._SHARE", 0.0)
    streamed.place("cpu")
    assert streamed.storages[0].streamed
    assert not held.storages[0].streamed
    orders = [torch.randperm(12)[:5] for _ in range(6)]
    for order, announced in zip(orders, orders[1:] + orders[:1], strict=True):
        got, expected = streamed.fetch((order,)), held.fetch((order,))
        assert torch.equal(got.real, expected.real)
        assert torch.equal(got.condition, expected.condition)
        streamed.prefetch((announced,))
    assert torch.equal(streamed.fetch((orders[3],)).real, held.fetch((orders[3],)).real)  # announced another one


def test_streamed_images_are_read_once_however_far_ahead(tmp_path, monkeypatch):
    """Another fetch in between, as an evaluation makes, disturbs nothing; what is passed over is forgotten."""
    for i in range(24):
        picture(tmp_path / f"{i}.png", i)
    monkeypatch.setattr("ganrun.data.storage._SHARE", 0.0)
    held, dataset = folder(tmp_path, flip=False), folder(tmp_path, flip=False)
    dataset.place("cpu")
    (storage,) = dataset.storages
    reads = []
    monkeypatch.setattr(storage, "_read", lambda indices, read=storage._read: reads.append(indices) or read(indices))

    def right(indices):
        return torch.equal(dataset.fetch((indices,)).real, held.fetch((indices,)).real)

    batches = list(torch.arange(24).split(4))
    for batch in batches[:READ_AHEAD]:
        dataset.prefetch((batch,))
    assert all(right(batches[number]) for number in (0, 5, 2, 3))  # 5 was not announced, 1 is passed over
    assert right(batches[1])
    storage._readers.shutdown()
    assert sorted(int(indices[0]) // 4 for indices in reads) == [0, 1, 1, 2, 3, 5]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("share", [0.4, 0.0])
def test_cuda_equals_cpu(tmp_path, monkeypatch, share):
    for i in range(12):
        picture(tmp_path / "ab"[i % 2] / f"{i}.png", i)
    reference, dataset = folder(tmp_path), folder(tmp_path)
    monkeypatch.setattr("ganrun.data.storage._SHARE", share)
    dataset.place("cuda")
    order = torch.randperm(12)[:5]
    dataset.prefetch((order,))
    batch = dataset.fetch((order,))
    assert batch.real.is_cuda
    torch.testing.assert_close(batch.real.cpu(), reference.fetch((order,)).real)
    assert torch.equal(batch.condition.cpu(), reference.fetch((order,)).condition)


def test_compressed_jpeg_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(3):
            data = io.BytesIO()
            Image.new("RGB", (8, 8), (100 * i, 0, 0)).save(data, "JPEG")
            file.writestr(f"{i}.JPG", data.getvalue())
    real = uint8(everything(folder(tmp_path / "z.zip")).real)
    assert abs(int(real[2, 0, 0, 0]) - 200) < 4


def test_cifar_zip(shared_data):
    dataset = folder(shared_data / "cifar10" / "cifar10-jpeg.zip", subfolder="train", subset=200)
    assert dataset.facts.shape == (3, 32, 32)
    assert dataset.facts.classes == 10
    assert torch.bincount(everything(dataset).condition).tolist() == [20] * 10


@pytest.mark.slow
def test_whole_cifar_zip(shared_data):
    dataset = folder(shared_data / "cifar10" / "cifar10-jpeg.zip", subfolder="train")
    assert dataset.facts.count == (50_000,)
    assert torch.bincount(everything(dataset).condition).tolist() == [5000] * 10


def test_flickr_zip_with_captions_beside(shared_data):
    dataset = folder(shared_data / "flickr8k-subset" / "flickr8k-subset-128.zip", size=16)
    assert dataset.facts.count == (520,)
    assert dataset.facts.classes == 0
