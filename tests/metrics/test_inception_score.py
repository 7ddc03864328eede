from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ganrun.metrics.inception_score import inception_score

TABLE = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [1 / 3, 1 / 3, 1 / 3]]


def test_hand_example():
    assert inception_score(torch.tensor(TABLE, dtype=torch.float64).log(), splits=1).mean == pytest.approx(
        1.24439640541
    )


def test_one_class_and_all_classes():
    assert inception_score(torch.zeros(100, 7), splits=5).mean == pytest.approx(1)
    certain = torch.eye(10).repeat(50, 1) * 1000  # float32 softmax would underflow to 0 and give NaN
    assert inception_score(certain, splits=1).mean == pytest.approx(10)


def test_samples_sorted_by_class_are_shuffled_before_splitting():
    torch.manual_seed(0)
    certain = torch.eye(10).repeat_interleave(100, 0) * 50
    score = inception_score(certain, splits=10).mean
    assert 9 < score < 10  # unshuffled: 1


def test_mean_over_splits_is_the_direct_formula():
    logits = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    torch.manual_seed(4)
    score, deviation = inception_score(logits, splits=3)
    torch.manual_seed(4)
    shuffled = logits[torch.randperm(60)].softmax(1)
    parts = shuffled.chunk(3)
    direct = [math.exp((p * (p / p.mean(0)).log()).sum(1).mean()) for p in parts]
    assert score == pytest.approx(sum(direct) / 3, rel=1e-9)
    assert deviation == pytest.approx(np.std(direct), rel=1e-9)


def test_against_torch_fidelity():
    metric = pytest.importorskip("torch_fidelity.metric_isc")
    logits = torch.randn(1000, 30, generator=torch.Generator().manual_seed(0)) * 3
    torch.manual_seed(1)
    found = inception_score(logits, splits=10)
    torch.manual_seed(1)
    expected = metric.isc_features_to_metric(logits[torch.randperm(1000)], splits=10, shuffle=False)
    assert found.mean == pytest.approx(expected["inception_score_mean"], rel=1e-6)
    assert found.std == pytest.approx(expected["inception_score_std"], rel=1e-6)
    assert inception_score(logits, splits=1).mean != pytest.approx(found.mean, rel=0.01)  # one split is another score


def test_one_split_has_no_deviation():
    assert math.isnan(inception_score(torch.randn(10, 3), splits=1).std)
