"""Feature matching: differences of batch means."""

from __future__ import annotations

import pytest
import torch
from critics import Given, LinearCritic

from ganrun.core.errors import RunError
from ganrun.losses.base import Comparison
from ganrun.losses.terms.feature_matching import FeatureMatching

REAL = torch.tensor([[1.0, 2.0], [3.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
FAKE = torch.tensor([[0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("form", "value"), [("l2", 2.25), ("l1", 0.75)])
def test_value_for_batches_of_different_size(form, value):
    assert FeatureMatching(1.0, form)(Comparison(Given(), REAL, FAKE)).item() == pytest.approx(value)
    shuffled = Comparison(Given(), REAL[[2, 0, 1]], FAKE[[1, 0]])
    assert FeatureMatching(2.0, form)(shuffled).item() == pytest.approx(2 * value)


def test_reals_are_constants():
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    FeatureMatching(1.0, "l2")(Comparison(Given(), real, fake)).backward()
    assert real.grad is None
    assert fake.grad.tolist() == [[-1.5, 0.0], [-1.5, 0.0]]  # 2 (mean fake - mean real) / 2


def test_says_what_is_missing():
    with pytest.raises(RunError, match="LinearCritic hands out no features"):
        FeatureMatching(1.0, "l2")(Comparison(LinearCritic([1.0, 1.0]), REAL, FAKE))
