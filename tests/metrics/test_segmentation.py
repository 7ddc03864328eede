from __future__ import annotations

import logging

import pytest
import torch

from ganrun.data.shapes import Shapes
from ganrun.data.text import HashedNgrams
from ganrun.metrics.base import Evaluation, quantise
from ganrun.metrics.segmentation import (
    SegmentationAgreement,
    SegmentationIoU,
    Segmenter,
    UNet,
    mean_iou,
    pixel_accuracy,
    shrink,
)

SETTINGS = {"resolution": 32, "widths": [8, 16], "images": 200, "held_out": 0.1, "epochs": 5, "patience": 3}


def segmenter(**changes):
    return Segmenter(**SETTINGS | {"batch_size": 8, "lr": 1e-2} | changes)


@pytest.fixture(scope="module")
def scenes():
    return Shapes("maps", 16, 200, 0, HashedNgrams(8), False)


def scores(dataset, draw, **changes):
    metrics = {
        "agreement": SegmentationAgreement(segmenter(**changes)),
        "iou": SegmentationIoU(segmenter(**changes)),
    }
    evaluation = Evaluation(metrics, None, dataset, 60, None, 20, False, "train", "raw", None, 0)
    return evaluation.run(draw)


def test_closed_forms():
    """Of classes with 4, 2 and 0 pixels, three and one are seen; one of the rest is taken for the third."""
    confusion = torch.tensor([[3, 1, 0], [0, 1, 1], [0, 0, 0]])
    assert pixel_accuracy(confusion) == pytest.approx(4 / 6)
    assert mean_iou(confusion) == pytest.approx((3 / 4 + 1 / 3 + 0 / 1) / 3)
    absent = torch.tensor([[3, 0, 0], [1, 2, 0], [0, 0, 0]])
    assert mean_iou(absent) == pytest.approx((3 / 4 + 2 / 3) / 2)  # a class that nobody sees or asks for does not count


def test_images_are_averaged_and_maps_are_not():
    images = torch.tensor([[0, 100], [200, 100]], dtype=torch.uint8).repeat(2, 2)[None, None]
    maps = torch.arange(16).view(1, 4, 4)
    small, classes = shrink(images, maps, 2)
    assert small.tolist() == [[[[100, 100], [100, 100]]]]
    assert classes.shape == (1, 2, 2)
    assert set(classes.flatten().tolist()) <= set(range(16))
    same, kept = shrink(images, maps, 64)
    assert torch.equal(same, images)
    assert torch.equal(kept.long(), maps)


def test_the_network_takes_any_size():
    network = UNet(3, (4, 8, 16), 5).eval()
    assert network(torch.zeros(2, 3, 17, 30, dtype=torch.uint8)).shape == (2, 5, 17, 30)
    assert sum(p.numel() for p in UNet(3, (8, 16, 32, 64), 12).parameters()) == 122_564


def test_agreement(scenes, caplog):
    """Real images agree with their maps, and not with others; the network is trained once and images seen once."""
    caplog.set_level(logging.INFO)
    batch = scenes.fetch((torch.arange(60),), augment=False)
    drawn = iter(range(0, 60, 20))

    def real(count):
        start = next(drawn)
        return batch.real[start : start + count], batch.condition[start : start + count]

    right = scores(scenes, real)
    assert right["agreement"] > 0.9
    assert right["iou"] > 0.5
    assert caplog.text.count("training a network") == 1
    assert caplog.text.count("the mark to reach") == 1  # shared by both metrics
    wrong = scores(scenes, lambda count: (batch.real[:count], batch.condition[60 - count :]))
    assert wrong["agreement"] < right["agreement"] - 0.1
    assert wrong["iou"] < right["iou"] - 0.2
    blank = scores(scenes, lambda count: (torch.full_like(batch.real[:count], 0.5), batch.condition[:count]))
    background = (batch.condition[:20] == 0).double().mean()
    assert blank["agreement"] == pytest.approx(float(background), abs=0.03)
    assert caplog.text.count("training a network") == 1  # kept on disk


def test_the_same_network_everywhere(scenes):
    """Whatever the generators were at before, and they are put back."""
    state = torch.get_rng_state()
    one = segmenter(epochs=1, images=40).network(scenes).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    fresh = segmenter(epochs=1, images=40)
    again = fresh._train(_initial(fresh, scenes), scenes)["weights"]
    assert all(torch.equal(one[name], again[name]) for name in one)


def _initial(settings, dataset):
    torch.manual_seed(0)  # of metrics
    return UNet(dataset.facts.channels, settings.widths, dataset.facts.condition_size)


def test_other_generators_have_no_such_score(scenes, caplog):
    assert scores(scenes, lambda count: torch.zeros(count, 3, 16, 16)) == {}
    assert "no agreement: the generator is not given label maps" in caplog.text


def test_confusion_counts_every_pixel(scenes):
    batch = scenes.fetch((torch.arange(30),), augment=False)
    network = UNet(3, (4, 8), 4).eval()
    confusion = segmenter().confusion(network, quantise(batch.real), batch.condition)
    assert torch.equal(confusion.sum(1), batch.condition.flatten().bincount(minlength=4))
