from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ganrun.core.errors import DataError
from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.metrics.base import Evaluation, Unavailable
from ganrun.metrics.features import inception
from ganrun.metrics.features.auto import Auto
from ganrun.metrics.features.classifier import Classifier, ClassifierExtractor, Network
from ganrun.metrics.features.inception import Inception, InceptionExtractor
from ganrun.metrics.fid import FID


class FakeData:
    def __init__(self, images, labels=None, fingerprint="fake"):
        self.images, self.labels = images, labels
        classes = 0 if labels is None else int(labels.max()) + 1
        self.fetched = 0
        self.facts = Facts("images", tuple(images.shape[1:]), (len(images),), classes=classes, fingerprint=fingerprint)

    def place(self, device):
        pass

    def prefetch(self, indices):
        pass

    def fetch(self, indices, augment=True):
        self.fetched += len(indices[0])
        return Batch((self.images[indices[0]],), None if self.labels is None else self.labels[indices[0]])

    def examples(self, count):
        return Batch((self.images[:count],))


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = functional.interpolate(torch.tensor(bunch.images)[:, None].float() / 8 - 1, size=32, mode="bilinear")
    return FakeData(images, torch.tensor(bunch.target), "digits-32")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def classifier(**changes):
    settings = {
        "resolution": 16, "widths": [8, 16], "dimensions": 24, "images": 20000, "held_out": 0.1,
        "epochs": 8, "patience": 3, "batch_size": 64, "lr": 3e-3,
    }  # fmt: skip
    return Classifier(**settings | changes)


def random_images(count, channels=1):
    return torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_classifier_learns_the_digits_and_is_kept(digits, own_cache, caplog):
    caplog.set_level("INFO")
    state = torch.get_rng_state()
    extractor = classifier().extractor(digits)
    assert torch.equal(torch.get_rng_state(), state)
    images = ((digits.images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    features = extractor(images)
    assert features.pooled.shape == (1797, 24)
    assert features.logits.shape == (1797, 10)
    assert not features.pooled.requires_grad
    assert (features.logits.argmax(1) == digits.labels).double().mean() > 0.96
    assert "held-out images" in caplog.text

    fetched = digits.fetched
    again = classifier().extractor(digits)
    assert digits.fetched == fetched
    assert again.identity == extractor.identity
    assert torch.equal(again(images).pooled, features.pooled)


def test_classifier_is_deterministic_and_depends_on_its_settings(digits, tmp_path, monkeypatch):
    identities = []
    for folder, changes in (("a", {}), ("b", {}), ("b", {"dimensions": 12})):
        monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / folder))
        torch.manual_seed(len(identities))  # of the run; must not matter
        identities.append(classifier(epochs=1, images=300, **changes).extractor(digits).identity)
    assert identities[0] == identities[1] != identities[2]


def test_classifier_stops_when_nothing_is_gained(own_cache, caplog):
    caplog.set_level("INFO")
    constant = FakeData(torch.zeros(60, 1, 8, 8), torch.arange(60) % 2)
    classifier(epochs=50, patience=2).extractor(constant)
    assert "trained the classifier for 3 epochs" in caplog.text


def test_classifier_uses_at_most_so_many_images(digits, own_cache):
    before = digits.fetched
    classifier(epochs=1, images=130).extractor(digits)
    assert digits.fetched - before == 130


def test_classifier_needs_labels(own_cache):
    with pytest.raises(Unavailable, match="no labels"):
        classifier().extractor(FakeData(random_images(10)))


def test_network_takes_any_size_and_refuses_a_bad_resolution():
    network = Network(3, [4, 4], 5, 2, resolution=16).eval()
    for height, width in ((8, 8), (16, 16), (40, 23)):
        features = network(torch.zeros(2, 3, height, width, dtype=torch.uint8))
        assert features.pooled.shape == (2, 5)
        assert features.logits.shape == (2, 2)
    with pytest.raises(ValueError, match="need a multiple of 8"):
        Network(1, [4, 4, 4], 5, 2, resolution=20)


def test_better_images_have_a_better_classifier_fid(digits, own_cache):
    subject = Evaluation({"fid": FID()}, classifier(), digits, 600, None, 200, False, "train", "raw", None, None)

    def blurred(strength):
        def generate(count):
            images = digits.images[torch.randperm(len(digits.images))[:count]]
            return images + strength * torch.randn(images.shape)

        return subject.run(generate)["fid_classifier"]

    scores = [blurred(strength) for strength in (0.0, 0.5, 1.5)]
    assert scores == sorted(scores)
    assert scores[1] > 3 * scores[0]


@pytest.fixture
def random_weights(own_cache, monkeypatch):
    """A file with random weights of the right shapes, which passes for the published one."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    kept = {}
    with monkeypatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *args, **keywords: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        network = fidelity.FeatureExtractorInceptionV3("inception", ["2048"])
        kept = network.state_dict()
    path = own_cache / "hub" / "checkpoints" / inception.FILE
    path.parent.mkdir(parents=True)
    torch.save(kept, path)
    monkeypatch.setattr(inception, "HASH", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    return path


def test_inception_from_the_cached_file(random_weights):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    extractor = Inception(weights=None, download=False).extractor(FakeData(random_images(4, 3)))
    assert extractor.name == ""
    images = (torch.rand(2, 3, 20, 20) * 255).to(torch.uint8)
    features = extractor(images)
    direct = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], str(random_weights))
    pooled, logits = direct(images)
    torch.testing.assert_close(features.pooled, pooled, rtol=1e-5, atol=1e-5 * float(pooled.abs().max()))
    torch.testing.assert_close(features.logits, logits, rtol=1e-5, atol=1e-5 * float(logits.abs().max()))
    grey = images[:, :1]
    torch.testing.assert_close(extractor(grey).pooled, extractor(grey.repeat(1, 3, 1, 1)).pooled)

    # A path of one's own works the same, also for grey images with labels, which otherwise get the classifier.
    chosen = Auto(Inception(str(random_weights), download=False), classifier())
    grey_data = FakeData(random_images(4), torch.arange(4) % 2)
    assert chosen.extractor(grey_data).identity == extractor.identity


def test_other_files_are_refused(own_cache):
    path = own_cache / "weights.pth"
    with pytest.raises(DataError, match=r"no Inception weights at .*weights\.pth"):
        Inception(str(path), download=False).extractor(FakeData(random_images(4, 3)))
    torch.save({}, path)
    with pytest.raises(DataError, match="not 6726825d"):
        Inception(str(path), download=False).extractor(FakeData(random_images(4, 3)))


def test_code_in_a_weights_file_is_not_run(own_cache, monkeypatch):
    class Harm:
        def __reduce__(self):
            return Path.touch, (own_cache / "harmed",)

    path = own_cache / "weights.pth"
    torch.save({"weight": Harm()}, path)
    monkeypatch.setattr(inception, "HASH", "")
    with pytest.raises(DataError, match="cannot be read"):
        Inception(str(path), download=False).extractor(FakeData(random_images(4, 3)))
    assert not (own_cache / "harmed").exists()


def test_download_that_fails_says_what_to_do(own_cache, monkeypatch):
    def fail(*args, **keywords):
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(Unavailable, match=r"could not be fetched from https://.*6726825d\.pth: Name or service"):
        Inception(None, download=True).extractor(FakeData(random_images(4, 3)))


def test_auto_never_downloads_unasked(own_cache, monkeypatch, caplog):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *args, **keywords: pytest.fail("downloaded"))
    auto = Auto(Inception(None, download=False), classifier(epochs=1))
    metrics = {"fid": FID()}
    subject = Evaluation(metrics, auto, FakeData(random_images(80, 3)), 40, None, 40, False, "train", "raw", None, None)
    assert subject.run(lambda count: random_images(count, 3)) == {}
    (record,) = caplog.records
    assert record.message.startswith(f"no fid: no Inception weights at {own_cache}/hub/checkpoints/weights-inception-")
    assert record.message.endswith("and the data set has no labels to train a classifier on")


def test_auto_chooses(own_cache, monkeypatch):
    auto = Auto(Inception(None, download=False), classifier(epochs=1))
    grey = FakeData(random_images(40), torch.arange(40) % 2, "grey")
    colour = FakeData(random_images(40, 3), torch.arange(40) % 2, "colour")
    assert isinstance(auto.extractor(colour), ClassifierExtractor)
    weights = own_cache / "hub" / "checkpoints" / inception.FILE
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    monkeypatch.setattr(inception, "HASH", "")
    monkeypatch.setattr(inception, "_network", lambda path: torch.nn.Identity())
    assert isinstance(auto.extractor(colour), InceptionExtractor)
    assert isinstance(auto.extractor(grey), ClassifierExtractor)
    assert isinstance(auto.extractor(FakeData(random_images(40))), InceptionExtractor)


def random_network(**changes):
    from ganrun.metrics.features.random import Random

    return Random(**{"resolution": 16, "widths": [8, 16], "dimensions": 24, "seed": 0} | changes)


def test_random_features_are_fixed_and_need_no_labels():
    dataset = FakeData(random_images(4, 3))
    torch.manual_seed(1)
    one = random_network().extractor(dataset)
    torch.manual_seed(2)
    again = random_network().extractor(dataset)
    images = torch.randint(0, 256, (5, 3, 20, 20), dtype=torch.uint8)
    assert one.identity == again.identity != random_network(seed=1).extractor(dataset).identity
    assert torch.equal(one(images).pooled, again(images).pooled)
    assert one(images).pooled.shape == (5, 24)
    assert one(images).logits is None
    assert (one(images).pooled.std(0) > 0).all()


def test_random_features_tell_worse_images(digits, caplog):
    from ganrun.metrics.inception_score import InceptionScore

    metrics = {"fid": FID(), "inception_score": InceptionScore(10)}
    subject = Evaluation(metrics, random_network(), digits, 600, None, 200, False, "train", "raw", None, None)
    scores = []
    for strength in (0.0, 0.5, 1.5):
        scores.append(subject.run(lambda n, s=strength: digits.images[:n] + s * torch.randn_like(digits.images[:n])))
    assert [list(score) for score in scores] == [["fid_random"]] * 3
    none, some, much = (score["fid_random"] for score in scores)
    assert 3 * none < 2 * some < much
    assert "no inception_score: the feature extractor knows no classes" in caplog.text


def test_extractors_of_torch_fidelity():
    fidelity = pytest.importorskip("torch_fidelity")
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    from ganrun.metrics.features.fidelity import Fidelity

    class Means(FeatureExtractorBase):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        @staticmethod
        def get_provided_features_list():
            return ("means",)

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, images):
            return (self.scale * images.float().mean((2, 3)),)

    fidelity.register_feature_extractor("means-of-channels", Means)
    extractor = Fidelity("means-of-channels", "means").extractor(FakeData(random_images(4)))
    assert extractor.name == "means-of-channels"
    images = torch.full((2, 1, 4, 4), 10, dtype=torch.uint8)
    assert extractor(images).pooled.tolist() == [[20, 20, 20]] * 2
    with pytest.raises(Unavailable, match=r"cannot load nothing with features x .*evaluation/features=classifier"):
        Fidelity("nothing", "x").extractor(FakeData(random_images(4)))
