import pytest
import torch

from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.metrics.base import Evaluation, Samples, Supply, Unavailable, quantise
from ganrun.metrics.cycle_error import CycleError
from ganrun.metrics.features.random import Random
from ganrun.metrics.fid import FID
from ganrun.metrics.kid import KID
from ganrun.metrics.translation_error import PSNR, TranslationError


def samples(generated, truths=None, cycles=None):
    return Samples(quantise(generated), None, None, lambda: None, None, None, truths, cycles)


def test_cycle_error_is_the_mean_absolute_error_in_units_of_minus_one_to_one():
    originals = torch.rand(5, 3, 4, 4) * 2 - 1
    errors = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.5])
    asked = []

    def cycles(numbers):
        asked.append(len(numbers))
        return originals[numbers], originals[numbers] + errors[numbers, None, None, None]

    subject = samples(torch.zeros(5, 3, 4, 4), cycles=cycles)
    assert CycleError(images=100, batch_size=2).evaluate(subject) == pytest.approx(1.1 / 5)
    assert asked == [2, 2, 1]
    assert CycleError(images=2, batch_size=8).evaluate(subject) == pytest.approx(0.15)
    with pytest.raises(Unavailable, match="no way back"):
        CycleError(2, 2).evaluate(samples(torch.zeros(5, 3, 4, 4)))


def test_errors_against_the_truth():
    truth = torch.randint(20, 230, (130, 3, 4, 4)) / 127.5 - 1
    off = torch.arange(130)[:, None, None, None] % 3  # levels of 8 bits
    subject = samples(truth + off / 127.5, truths=lambda numbers: truth[numbers])
    expected = (off.flatten() / 127.5).mean()
    assert TranslationError(images=1000).evaluate(subject) == pytest.approx(float(expected))
    assert TranslationError(images=2).evaluate(subject) == pytest.approx(0.5 / 127.5)
    half = 20 * torch.log10(torch.tensor([255 / 0.5, 255.0, 127.5]))  # no error counts as half a level
    assert PSNR(images=3).evaluate(subject) == pytest.approx(float(half.mean()), rel=1e-5)
    for metric in (TranslationError(3), PSNR(3)):
        with pytest.raises(Unavailable, match="no true image"):
            metric.evaluate(samples(truth))


class Bright:
    """Two domains, dark and bright noise."""

    def __init__(self, counts=(90, 100)):
        generator = torch.Generator().manual_seed(0)
        levels = (-0.7, 0.3)
        self.images = [
            level + 0.4 * torch.rand(n, 3, 8, 8, generator=generator)
            for n, level in zip(counts, levels, strict=True)
        ]  # fmt: skip
        self.facts = Facts("images", (3, 8, 8), counts, domains=2, fingerprint="bright")

    def fetch(self, indices, augment=True):
        return Batch(tuple(images[chosen] for images, chosen in zip(self.images, indices, strict=True)))


def evaluation(metrics, dataset, samples=80, real=None):
    return Evaluation(
        metrics, Random(8, [4], 8, 0), dataset, samples, real, 30, progress=False,
        split="train", weights="raw", truncation=None, seed=None,
    )  # fmt: skip


def test_every_direction_is_compared_with_its_own_domain():
    dataset = Bright()
    metrics = {"fid": FID(), "kid": KID(subsets=4, subset_size=40, images=100)}

    def supply(domain, source, **more):
        return Supply(lambda count: dataset.images[source][:count], domain=domain, **more)

    right, wrong = ({"there": supply(1, a), "back": supply(0, b)} for a, b in ((1, 0), (0, 1)))
    subject = evaluation(metrics, dataset)
    good, bad = subject.run_all(right), subject.run_all(wrong)
    assert list(good)[:2] == ["fid_random", "kid_random"]
    for of in ("there", "back"):
        assert good[f"fid_random_{of}"] < 0.1 * bad[f"fid_random_{of}"]
        assert good[f"kid_random_{of}"] < 0.1 * bad[f"kid_random_{of}"]
        assert f"kid_std_random_{of}" in good
    assert good["fid_random"] == pytest.approx((good["fid_random_there"] + good["fid_random_back"]) / 2)
    assert "kid_std_random" not in good
    assert evaluation(metrics, dataset).run_all(right) == good  # now from the cache
    assert subject.directions() == {
        f"{name}_random{of}": True for name in ("fid", "kid") for of in ("", "_there", "_back")
    }
    assert dict(subject.stamp().settings)["kid_random_back"] == "images=100 subset_size=40 subsets=4"
    assert (subject.stamp().real, subject.stamp().generated) == (100, 80)


def test_no_more_samples_are_drawn_than_there_are_and_a_missing_direction_leaves_no_mean():
    dataset = Bright(counts=(5, 100))
    subject = evaluation({"fid": FID()}, dataset)
    drawn = []

    def draw(count):
        drawn.append(count)
        return torch.zeros(count, 3, 8, 8)

    scores = subject.run_all({"there": Supply(draw, 1, available=40), "back": Supply(draw, 0, available=50)})
    assert drawn == [30, 10, 30, 20]
    assert list(scores) == ["fid_random_there"]  # five real images are too few
    assert subject.stamp().generated == 50
