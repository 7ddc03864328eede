"""Scores of samples of one image: against closed forms, another way of computing, and by what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from test_features import FakeData, own_cache, random_weights  # noqa: F401
from torch.nn.functional import adaptive_avg_pool2d

from ganrun.metrics.base import Evaluation, Samples, Unavailable, quantise
from ganrun.metrics.features.inception import Inception
from ganrun.metrics.features.random import Random
from ganrun.metrics.patch_distance import PatchDistance
from ganrun.metrics.single_image_fid import Diversity, SingleImageFID, real_image


def image(seed: int, height: int = 64, width: int = 80) -> torch.Tensor:
    noise = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(height, width), mode="bilinear") * 2 - 1


def samples_of(generated: torch.Tensor, real: torch.Tensor) -> Samples:
    return Samples(quantise(generated), None, None, lambda: None, FakeData(real))


def random_features() -> Random:
    return Random(resolution=32, widths=[8, 16, 32], dimensions=8, seed=0)


METRICS = [SingleImageFID(random_features()), PatchDistance(7, 1, 16), PatchDistance(5, 2, 16)]


@pytest.mark.parametrize("metric", METRICS)
def test_the_image_is_at_no_distance_from_itself_and_others_are(metric):
    real, other = image(0), image(1)
    torch.manual_seed(0)
    none, noisy, far = (
        metric.evaluate(samples_of(generated, real))
        for generated in (real.repeat(2, 1, 1, 1), real + 0.1 * torch.randn(2, 3, 64, 80), other)
    )
    assert none.mean == pytest.approx(0, abs=1e-6)
    assert none.std == pytest.approx(0, abs=1e-6)
    assert none.mean < noisy.mean < far.mean
    assert np.isnan(far.std)  # one sample has no deviation


def test_the_distance_is_over_positions_and_averaged_over_samples():
    real, generated = image(0), torch.cat([image(1), image(2)])
    extractor = random_features().extractor(FakeData(real))
    expected = []
    for sample in generated:
        maps = [extractor.local(quantise(each[None] if each.ndim == 3 else each)) for each in (sample, real)]
        first, second = (part[0].flatten(1).double().numpy() for part in maps)
        assert first.shape == (16, 16 * 20)  # two strides of 2
        means, covariances = (first.mean(1), second.mean(1)), (np.cov(first), np.cov(second))
        roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0))
        trace = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots.sum()
        expected.append(np.square(means[0] - means[1]).sum() + trace)
    found = SingleImageFID(random_features()).evaluate(samples_of(generated, real))
    assert found.mean == pytest.approx(np.mean(expected), rel=1e-4)
    assert found.std == pytest.approx(np.std(expected, ddof=1), rel=1e-3)


def test_inceptions_local_features_are_its_first_pooling_layers(random_weights):  # noqa: F811
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    extractor = Inception(None, download=False).extractor(FakeData(image(0)))
    images = (torch.rand(1, 3, 299, 299) * 255).to(torch.uint8)  # at this size nothing is resized there either
    (pooled,) = FeatureExtractorInceptionV3("inception", ["64"], str(random_weights))(images)
    local = extractor.local(images)
    assert local.shape == (1, 64, 73, 73)
    torch.testing.assert_close(adaptive_avg_pool2d(local, 1).flatten(1), pooled, rtol=1e-4, atol=1e-5)
    assert extractor.local(images[:, :1, :70, :90]).shape == (1, 64, 15, 20)


def test_without_weights_that_score_is_left_out_and_the_others_are_not(own_cache, caplog):  # noqa: F811
    metrics = {"sifid": SingleImageFID(Inception(None, download=False)), "swd": PatchDistance(7, 1, 4)}
    evaluation = Evaluation(metrics, None, FakeData(image(0)), 4, None, 2, False, "train", "raw", None, 0)
    scores = evaluation.run(lambda count: image(1).repeat(count, 1, 1, 1))
    assert scores.keys() == {"swd", "swd_std"}
    assert "no sifid: no Inception weights" in caplog.text
    assert "Inception" in str(evaluation.stamp().settings)


def test_small_images_are_not_scored():
    with pytest.raises(Unavailable, match="16 positions of 16x16 pixels are too few for 16 features"):
        SingleImageFID(random_features()).evaluate(samples_of(image(0, 16, 16), image(1, 16, 16)))
    with pytest.raises(Unavailable, match="hold no such patches"):
        PatchDistance(7, 4, 4).evaluate(samples_of(image(0, 24, 24), image(1, 24, 24)))


def test_patches_against_scipys_one_dimensional_transport():
    real, generated = image(0, 16, 24), image(1, 16, 24)
    torch.manual_seed(3)
    found = PatchDistance(3, 2, 5).evaluate(samples_of(generated, real))
    torch.manual_seed(3)
    directions = torch.randn(27, 5)
    directions = (directions / directions.norm(dim=0)).double().numpy()
    flat = []
    for each in (generated, real):
        pixels = quantise(each)[0].double().numpy() / 127.5 - 1
        small = pixels.reshape(3, 8, 2, 12, 2).mean((2, 4))
        flat.append([small[:, i : i + 3, j : j + 3].ravel() for i in range(6) for j in range(10)])
    distances = [wasserstein_distance(flat[0] @ w, flat[1] @ w) for w in directions.T]
    assert found.mean == pytest.approx(np.mean(distances), rel=1e-4)


def test_patches_may_lie_anywhere():
    """A periodic image of three periods and the last patch's width, shifted: the same patches elsewhere."""
    tile = image(0, 16, 16)
    real, shifted = (each.repeat(1, 1, 2, 4)[..., : 3 * 16 + 6] for each in (tile, tile.roll(5, 3)))
    found = PatchDistance(7, 1, 16).evaluate(samples_of(shifted, real))
    assert found.mean == pytest.approx(0, abs=1e-6)


def test_diversity_is_in_units_of_the_image():
    real = torch.full((1, 3, 40, 40), -0.5)
    real[..., 20:] = 0.5
    torch.manual_seed(0)
    draws = torch.randn(200, 1, 40, 40).expand(-1, 3, -1, -1) * 0.2
    assert Diversity().evaluate(samples_of(draws, real)) == pytest.approx(0.2 / 0.5, rel=0.02)
    assert Diversity().evaluate(samples_of(real.repeat(3, 1, 1, 1), real)) == 0
    with pytest.raises(Unavailable, match="no variety"):
        Diversity().evaluate(samples_of(real, real))


def test_the_image_is_brought_to_the_size_of_the_samples():
    real = image(0)
    assert torch.equal(real_image(samples_of(image(1), real)), quantise(real)[0])
    small = real_image(samples_of(image(1, 32, 40), real))
    assert small.shape == (3, 32, 40)
    assert (small.float() - quantise(real)[0].float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4))).abs().mean() < 3
