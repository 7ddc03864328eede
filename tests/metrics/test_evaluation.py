from __future__ import annotations

import logging

import pytest
import torch

from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.metrics.base import Evaluation, Features, Metric, Samples, Unavailable, quantise, real_images
from ganrun.metrics.fid import FID
from ganrun.metrics.inception_score import InceptionScore
from ganrun.metrics.kid import KID
from ganrun.metrics.memorisation import Copies
from ganrun.metrics.mifid import MiFID
from ganrun.metrics.precision_recall import Precision, Recall


class FakeImages:
    """Uniform noise images with labels; ``flip`` mirrors at random, as a data set may."""

    def __init__(self, count=200, fingerprint="noise", flip=False, classes=4):
        self.images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
        self.labels = torch.arange(count) % max(classes, 1)
        self.flip = flip
        self.facts = Facts("images", (1, 8, 8), (count,), classes=classes, fingerprint=fingerprint)

    def place(self, device):
        pass

    def prefetch(self, indices):
        pass

    def fetch(self, indices, augment=True):
        images = self.images[indices[0]]
        if self.flip and augment:
            images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
        return Batch((images,), self.labels[indices[0]])

    def examples(self, count):
        return Batch((self.images[:count],), self.labels[:count])


class Pixels:
    """Extractor whose features are a few pixel means."""

    name = "pixels"
    identity = "pixels-1"
    resize = "none"

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        assert images.dtype == torch.uint8
        self.seen.append(len(images))
        pooled = images.float().flatten(1)[:, :5] / 255
        return Features(pooled, pooled * 10)


class Source:
    def __init__(self, extractor=None, reason="nothing here"):
        self.result, self.reason, self.asked = extractor, reason, 0

    def extractor(self, dataset):
        self.asked += 1
        if self.result is None:
            raise Unavailable(self.reason)
        return self.result


def evaluation(metrics, features, dataset, samples=100, real=None, batch_size=30):
    return Evaluation(
        metrics, features, dataset, samples, real, batch_size, progress=False,
        split="train", weights="raw", truncation=None, seed=None,
    )  # fmt: skip


def noise(count):
    return torch.rand(count, 1, 8, 8) * 2 - 1


class Shapes(Metric):
    """Remembers what it was given."""

    lower_is_better = True
    requires = ("images",)

    def evaluate(self, samples: Samples) -> float:
        self.generated = samples.generated
        self.features = samples.features
        return 1.0


def test_quantisation_rounds_and_clamps():
    levels = torch.arange(256)
    assert torch.equal(quantise(levels / 127.5 - 1), levels.to(torch.uint8))
    between = torch.tensor([-1.2, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 1 - 0.49 / 127.5, 1.7])
    assert quantise(between).tolist() == [0, 0, 1, 255, 255]
    assert quantise(torch.zeros(1, dtype=torch.bfloat16)).item() == 128


def test_every_image_goes_through_the_extractor_once():
    extractor = Pixels()
    metrics = {"fid": FID(), "inception_score": InceptionScore(splits=2), "shapes": Shapes()}
    counts = []

    def generate(count):
        counts.append(count)
        return noise(count)

    scores = evaluation(metrics, Source(extractor), FakeImages(fingerprint="once"), real=50).run(generate)
    assert counts == [30, 30, 30, 10]
    assert sorted(extractor.seen) == sorted([30, 30, 30, 10, 30, 20])  # generated, then 50 real ones
    assert set(scores) == {"fid_pixels", "inception_score_pixels", "inception_score_std_pixels", "shapes"}
    assert metrics["shapes"].generated.dtype == torch.uint8
    assert metrics["shapes"].generated.shape == (100, 1, 8, 8)


def test_the_published_extractor_has_plain_tags():
    extractor = Pixels()
    extractor.name = ""
    subject = evaluation({"fid": FID()}, Source(extractor), FakeImages())
    assert subject.tag("fid") == "fid"
    assert set(subject.run(noise)) == {"fid"}


def test_real_statistics_are_computed_once_and_kept_on_disk():
    dataset = FakeImages(fingerprint="kept")
    first, again, other = Pixels(), Pixels(), Pixels()
    subject = evaluation({"fid": FID()}, Source(first), dataset)
    score = subject.run(lambda count: noise(count) * 0.5)
    assert sum(first.seen) == 100 + 200
    subject.run(noise)
    assert sum(first.seen) == 2 * 100 + 200

    torch.manual_seed(5)
    one = evaluation({"fid": FID()}, Source(again), dataset).run(noise)
    assert sum(again.seen) == 100
    torch.manual_seed(5)
    other.identity = "pixels-2"
    assert evaluation({"fid": FID()}, Source(other), dataset).run(noise) == one != score
    assert sum(other.seen) == 300


def test_real_images_are_never_flipped():
    """A flipped copy of the data would be another reference."""
    plain, flipped = (torch.cat([i for i, _ in real_images(FakeImages(flip=flip), None, 64)]) for flip in (False, True))
    assert torch.equal(plain, flipped)


def test_the_same_real_images_every_time_without_repeats():
    dataset = FakeImages(flip=True)
    first, again = (torch.cat([images for images, _ in real_images(dataset, 150, 40)]) for _ in range(2))
    assert torch.equal(first, again)
    dataset.flip = False
    batches = list(real_images(dataset, None, 64))
    assert sum(len(images) for images, _ in batches) == 200
    assert len(torch.cat([images for images, _ in batches]).flatten(1).unique(dim=0)) == 200
    assert torch.cat([labels for _, labels in batches]).bincount().tolist() == [50] * 4


def test_training_randomness_is_untouched_and_scores_repeat():
    metrics = {"fid": FID(), "inception_score": InceptionScore(splits=3)}
    dataset = FakeImages(fingerprint="rng", flip=True)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    cold = evaluation(metrics, Source(Pixels()), dataset, real=50).run(noise)
    assert torch.equal(torch.get_rng_state(), before)
    # With a warm cache the generator must see the same random numbers as with a cold one.
    assert evaluation(metrics, Source(Pixels()), dataset, real=50).run(noise) == cold


def test_a_missing_extractor_is_said_once_and_costs_no_samples(caplog):
    source = Source(None, "no weights at /there and no labels")
    subject = evaluation({"fid": FID()}, source, FakeImages())
    subject.prepare()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert subject.run(lambda count: pytest.fail("samples were drawn for nothing")) == {}
    assert source.asked == 1
    assert subject.tag("fid") == "fid"


def test_other_metrics_go_on_without_an_extractor(caplog):
    subject = evaluation({"fid": FID(), "shapes": Shapes()}, Source(None), FakeImages())
    assert subject.run(noise) == {"shapes": 1.0}
    assert [record.message for record in caplog.records] == ["no fid: nothing here"]


def test_too_few_samples_give_a_reason_instead_of_a_number(caplog):
    metrics = {"fid": FID(), "inception_score": InceptionScore(splits=10)}
    assert evaluation(metrics, Source(Pixels()), FakeImages(), samples=5).run(noise) == {}
    said = "\n".join(record.message for record in caplog.records)
    assert "5 generated images are too few for 5 features. Raise evaluation.samples." in said
    assert "5 images are too few for 10 splits" in said
    caplog.clear()
    assert evaluation({"fid": FID()}, Source(Pixels()), FakeImages(), real=4).run(noise) == {}
    assert "4 real images are too few" in caplog.text


def test_a_score_that_is_not_finite_is_left_out(caplog):
    class Broken(Metric):
        lower_is_better = True

        def evaluate(self, samples):
            return float("nan")

    subject = evaluation({"broken": Broken()}, None, FakeImages())
    assert [subject.run(noise), subject.run(noise)] == [{}, {}]
    assert [record.message for record in caplog.records] == ["no broken: it came out as nan"]


def test_a_collapsed_generator_is_scored():
    metrics = {"fid": FID(), "inception_score": InceptionScore(splits=10)}
    scores = evaluation(metrics, Source(Pixels()), FakeImages()).run(lambda n: torch.zeros(n, 1, 8, 8))
    assert scores["fid_pixels"] > 0
    assert scores["inception_score_pixels"] == pytest.approx(1)


def test_importing_the_metrics_is_light():
    import subprocess
    import sys

    names = ["fid", "inception_score", "kid", "mifid", "modes", "kde", "memorisation", "classification_accuracy"]
    names += ["class_fid", "precision_recall", "density_coverage", "features.auto", "features.random"]
    modules = ", ".join(f"ganrun.metrics.{name}" for name in [*names, "features.fidelity"])
    heavy = "torchmetrics torchvision matplotlib torch_fidelity sklearn"
    code = f"import sys, {modules}, ganrun.sampling.pictures; print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_stamp_says_how_the_scores_were_made():
    subject = evaluation({"fid": FID(), "inception_score": InceptionScore(splits=2)}, Source(Pixels()), FakeImages())
    stamp = subject.stamp()
    assert stamp.extractor == "pixels"
    assert stamp.extractor_identity == "pixels-1"
    assert (stamp.real, stamp.generated) == (200, 100)
    assert (stamp.data, stamp.split, stamp.quantised) == ("noise", "train", "uint8")
    assert dict(stamp.settings) == {"fid_pixels": "", "inception_score_pixels": "splits=2"}
    fewer = evaluation({"fid": FID()}, Source(Pixels()), FakeImages(), real=50).stamp()
    assert fewer.real == 50
    assert fewer.hash != stamp.hash
    assert evaluation({"fid": FID()}, Source(Pixels()), FakeImages(), real=900).stamp().hash == stamp.hash


def test_real_images_go_through_the_extractor_once_for_all_metrics():
    extractor = Pixels()
    metrics = {
        "fid": FID(), "kid": KID(5, 20, images=60), "mifid": MiFID(0.1), "precision": Precision(3, 80),
        "recall": Recall(3, 80),
    }  # fmt: skip
    subject = evaluation(metrics, Source(extractor), FakeImages(fingerprint="all at once"), real=150)
    scores = subject.run(noise)
    assert sum(extractor.seen) == 100 + 150
    assert set(scores) == {f"{name}_pixels" for name in (*metrics, "kid_std")}
    assert (
        evaluation(metrics, Source(Pixels()), FakeImages(fingerprint="all at once"), real=150).stamp()
        == subject.stamp()
    )


def test_images_that_no_metric_looks_at_are_not_held():
    class Looks(Metric):
        lower_is_better = True
        on_features = True

        def evaluate(self, samples):
            self.held = len(samples.generated)
            return 0.0

    metric = Looks()
    evaluation({"looks": metric}, Source(Pixels()), FakeImages()).run(noise)
    assert metric.held == 0


def test_labels_reach_the_metrics():
    class Labels(Metric):
        lower_is_better = True

        def evaluate(self, samples):
            self.seen = samples.condition
            return 0.0

    metric = Labels()
    evaluation({"labels": metric}, None, FakeImages()).run(lambda count: (noise(count), torch.arange(count) % 4))
    assert metric.seen.bincount().tolist() == [27, 27, 23, 23]


def test_perfect_copies_of_the_data_are_perfect_except_for_memorisation():
    dataset = FakeImages(fingerprint="copies")
    position = 0

    def copies(count):
        nonlocal position
        position += count
        return dataset.images[position - count : position]

    metrics = {"fid": FID(), "precision": Precision(3, 200), "recall": Recall(3, 200), "copies": Copies(0.3333, 200)}
    scores = evaluation(metrics, Source(Pixels()), dataset, samples=200).run(copies)
    assert scores["fid_pixels"] == pytest.approx(0, abs=1e-9)
    assert scores["precision_pixels"] == scores["recall_pixels"] == scores["copies"] == 1
