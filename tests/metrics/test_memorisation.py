from __future__ import annotations

import pytest
import torch

from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.metrics.base import Features, Reference, Samples, moments
from ganrun.metrics.fid import fid
from ganrun.metrics.memorisation import Copies
from ganrun.metrics.mifid import MiFID, nearest_cosine_distance


class Noise:
    def __init__(self, count=60):
        self.images = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.facts = Facts("images", (3, 8, 8), (count,))

    def fetch(self, indices, augment=True):
        return Batch((self.images[indices[0]],))


def copies(images, ratio=1 / 3, limit=1000):
    generated = ((images + 1) * 127.5).round().to(torch.uint8)
    return Copies(ratio, limit).evaluate(Samples(generated, None, None, lambda: pytest.fail("no features"), Noise()))


def test_share_of_copies():
    data = Noise().images
    fresh = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    noisy = (data[:10] + 0.05 * torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(2))).clamp(-1, 1)
    assert copies(fresh) == 0
    assert copies(data) == 1
    assert copies(torch.cat([noisy, fresh])) == pytest.approx(0.25)
    assert copies(torch.cat([noisy, fresh]), limit=20) == pytest.approx(0.5)
    between = (data[0] + data[1]) / 2  # as near to one as to the other
    assert copies(between[None]) == 0


def test_mifid_against_torchmetrics():
    from torchmetrics.image.mifid import _compute_cosine_distance

    generator = torch.Generator().manual_seed(0)
    real = torch.rand(5000, 12, generator=generator)
    generated = torch.rand(4500, 12, generator=generator)
    generated[:3] = 0
    expected = float(_compute_cosine_distance(generated, real, cosine_distance_eps=2.0))
    assert nearest_cosine_distance(generated, real) == pytest.approx(expected, rel=1e-4)


def test_mifid_punishes_copies_only():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(400, 40, generator=generator).abs()
    new = torch.randn(400, 40, generator=generator).abs()

    def mifid(features, threshold):
        samples = Samples(torch.empty(0), Features(features, None), None, lambda: reference, Noise())
        return MiFID(threshold).evaluate(samples)

    reference = Reference(moments([real]), real, None)
    plain = fid(moments([new]), moments([real]))
    assert mifid(new, 0.05) == pytest.approx(plain)
    near = real + 0.05 * torch.randn(400, 40, generator=generator)
    distance = nearest_cosine_distance(near, real)
    assert distance < 0.05
    assert mifid(near, 0.05) == pytest.approx(fid(moments([near]), moments([real])) / distance)
