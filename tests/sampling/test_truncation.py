from __future__ import annotations

import pytest
import torch

from ganrun.core.errors import RunError
from ganrun.latents.normal import Normal
from ganrun.latents.uniform import Uniform
from ganrun.sampling.truncation import TruncatedNormal, truncate

CPU = torch.device("cpu")


@pytest.mark.parametrize(("bound", "std"), [(2.0, 0.879626), (1.0, 0.539560), (0.5, 0.283882)])
def test_standard_deviation_of_resampling_not_clamping(bound, std):
    torch.manual_seed(0)
    z = TruncatedNormal(50, bound)(8000, CPU)
    assert z.shape == (8000, 50)
    assert z.abs().max() <= bound
    assert z.std().item() == pytest.approx(std, abs=0.003)
    assert (z.abs() == bound).sum() == 0


def test_follows_the_seed_and_leaves_what_is_inside():
    torch.manual_seed(1)
    whole = Normal(16)(10, CPU)
    torch.manual_seed(1)
    cut = truncate(Normal(16), 1.0)(10, CPU)
    inside = whole.abs() <= 1
    assert torch.equal(cut[inside], whole[inside])
    assert torch.equal(truncate(Normal(16), 100.0)(0, CPU), torch.empty(0, 16))


def test_refuses_other_latents_and_bounds():
    with pytest.raises(RunError, match="Uniform"):
        truncate(Uniform(8), 1.0)
    with pytest.raises(RunError, match="truncation=0"):
        truncate(Normal(8), 0.0)
    with pytest.raises(ValueError, match="above 0"):
        TruncatedNormal(8, -1.0)
