import gzip
import pickle
import struct
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

from ganrun.core.errors import DataError
from ganrun.data.cifar10 import Cifar10
from ganrun.data.decode import Shaping, resize_arrays, shape_image
from ganrun.data.digits import Digits
from ganrun.data.fashion_mnist import FashionMnist
from ganrun.data.mnist import Mnist
from ganrun.data.single_image import SingleImage

LABELLED = {"size": 32, "filter": "bicubic", "subset": None, "subset_seed": 0, "flip": False}


def test_digits_are_scikit_learns():
    dataset = Digits(**LABELLED)
    assert dataset.facts.count == (1797,)
    assert dataset.facts.shape == (1, 32, 32)
    assert dataset.facts.description.startswith("digits: 1,797 images 1x32x32, 10 classes, bicubic, sha256 ")
    indices = torch.tensor([0, 5, 1796])
    batch = dataset.fetch((indices,))
    assert batch.condition.tolist() == load_digits().target[indices].tolist()
    own = Digits(**LABELLED | {"size": 8}).fetch((indices,)).real
    expected = torch.from_numpy(load_digits().images[indices]).float() / 8 - 1
    assert (own[:, 0] - expected).abs().max() <= 1 / 255 + 1e-6  # rounding to 256 levels
    shrunk = torch.nn.functional.avg_pool2d(batch.real, 4)
    assert (shrunk - own).abs().mean() < 0.15


def test_digits_subset():
    dataset = Digits(**LABELLED | {"subset": 100})
    assert torch.bincount(dataset.fetch((torch.arange(100),)).condition).tolist() == [10] * 10
    assert dataset.facts.fingerprint != Digits(**LABELLED).facts.fingerprint


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, packed, count=20, prefix="train"):
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    for stem, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        path = folder / (stem + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return images, labels


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("kind", "place"), [(Mnist, "."), (Mnist, "MNIST/raw"), (FashionMnist, "FashionMNIST/raw")])
def test_idx_files(tmp_path, kind, place, packed):
    images, labels = write_idx(tmp_path / "root" / place, packed)
    dataset = kind(root=str(tmp_path / "root"), download=False, split="train", **LABELLED | {"size": 28})
    batch = dataset.fetch((torch.arange(20),))
    np.testing.assert_array_equal(((batch.real[:, 0] + 1) * 127.5).round().byte().numpy(), images)
    assert batch.condition.tolist() == labels.tolist()


def test_test_images_are_apart(tmp_path):
    write_idx(tmp_path, packed=True)
    with pytest.raises(DataError, match="there are no t10k-images-idx3-ubyte"):
        Mnist(root=str(tmp_path), download=False, split="test", **LABELLED)
    write_idx(tmp_path, packed=True, count=10, prefix="t10k")
    test = Mnist(root=str(tmp_path), download=False, split="test", **LABELLED)
    assert test.facts.count == (10,)
    assert test.facts.description.startswith("MNIST (test): ")
    assert Mnist(root=str(tmp_path), download=False, split="train", **LABELLED).facts.count == (20,)


def test_idx_files_missing_or_damaged(tmp_path):
    with pytest.raises(DataError, match=r"MNIST was not found.*dataset\.root=.*dataset\.download=true"):
        Mnist(root=str(tmp_path), download=False, split="train", **LABELLED)
    write_idx(tmp_path / "root", packed=True)
    with pytest.raises(DataError, match="FashionMNIST was not found"):
        FashionMnist(root=str(tmp_path / "root"), download=False, split="train", **LABELLED)
    path = tmp_path / "root" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        Mnist(root=str(tmp_path / "root"), download=False, split="train", **LABELLED)


@pytest.mark.parametrize("kind", [Mnist, Cifar10])
def test_misspelt_root(tmp_path, kind):
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"Did you mean data\?.*dataset\.download=true"):
        kind(root=str(tmp_path / "dta"), download=False, split="train", **LABELLED)


@pytest.mark.parametrize("kind", [Mnist, Cifar10])
def test_download_without_a_network(tmp_path, monkeypatch, kind):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(DataError, match=r"could not be fetched.*dataset=digits"):
        kind(root=str(tmp_path), download=True, split="train", **LABELLED)


def test_mnist(shared_data):
    dataset = Mnist(root=str(shared_data / "mnist"), download=False, split="train", **LABELLED | {"subset": 500})
    assert dataset.facts.shape == (1, 32, 32)
    assert torch.bincount(dataset.fetch((torch.arange(500),)).condition).tolist() == [50] * 10


def test_cifar10_from_torchvisions_batches(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    with pytest.raises(DataError, match=r"CIFAR-10 was not found.*dataset\.root="):
        Cifar10(root=str(tmp_path), download=False, split="train", **LABELLED)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3072), dtype=np.uint8)
    for number in range(5):
        batch = {"data": pixels[number], "labels": [number, 1, 2, 3]}
        (folder / f"data_batch_{number + 1}").write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    with pytest.raises(DataError, match="incomplete or damaged"):  # not the published files: never unpickled
        Cifar10(root=str(tmp_path), download=False, split="train", **LABELLED)
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    dataset = Cifar10(root=str(tmp_path), download=False, split="train", **LABELLED)
    batch = dataset.fetch((torch.arange(20),))
    expected = torch.from_numpy(pixels.reshape(20, 3, 32, 32))
    assert torch.equal(((batch.real + 1) * 127.5).round().byte(), expected)
    assert batch.condition.tolist() == [label for number in range(5) for label in (number, 1, 2, 3)]
    with pytest.raises(DataError, match="does not have test_batch"):
        Cifar10(root=str(tmp_path), download=False, split="test", **LABELLED)
    (folder / "test_batch").write_bytes(pickle.dumps({"data": pixels[0, :3], "labels": [7, 8, 9]}))
    test = Cifar10(root=str(tmp_path), download=False, split="test", **LABELLED)
    assert test.fetch((torch.arange(3),)).condition.tolist() == [7, 8, 9]


def test_single_image_default():
    dataset = SingleImage(path=None, max_size=64, filter="bicubic")
    assert dataset.facts.count == (1,)
    assert dataset.facts.provides == {"images", "single_image"}
    assert dataset.image.shape == (1, 3, 43, 64)  # of 427 x 640
    assert torch.equal(dataset.fetch((torch.zeros(3, dtype=torch.int64),)).real, dataset.image.expand(3, -1, -1, -1))
    average = torch.from_numpy(load_sample_image("china.jpg").copy()).float().mean((0, 1)) / 127.5 - 1
    torch.testing.assert_close(dataset.image.mean((0, 2, 3)), average, atol=0.01, rtol=0)


def test_single_image_file(tmp_path):
    Image.new("L", (30, 20), 255).save(tmp_path / "white.png")
    dataset = SingleImage(path=str(tmp_path / "white.png"), max_size=100, filter="bicubic")
    assert dataset.image.shape == (1, 3, 20, 30)  # never enlarged, always colour
    assert (dataset.image == 1).all()
    Image.new("RGBA", (30, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")  # what is not there is white
    Image.fromarray(np.full((20, 30), 65535, np.uint16)).save(tmp_path / "deep.png")
    for name in ("clear.png", "deep.png"):
        other = SingleImage(path=str(tmp_path / name), max_size=100, filter="bicubic")
        assert torch.equal(other.image, dataset.image)
    with pytest.raises(DataError, match=r"Did you mean white\.png"):
        SingleImage(path=str(tmp_path / "wite.png"), max_size=100, filter="bicubic")
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"bad\.png cannot be decoded"):
        SingleImage(path=str(tmp_path / "bad.png"), max_size=100, filter="bicubic")


@pytest.mark.parametrize("shape", [(1, 8, 8), (70, 8, 8), (37, 8, 8, 3)])
def test_resizing_in_parallel_keeps_the_order(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    shaping = Shaping(12, "none", "lanczos")
    alone = np.stack([np.asarray(shape_image(Image.fromarray(image), shaping)) for image in images])
    np.testing.assert_array_equal(resize_arrays(images, shaping), alone.reshape(len(images), 12, 12, -1))
