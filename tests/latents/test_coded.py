import math

import pytest
import torch

from ganrun.latents.coded import Coded

CPU = torch.device("cpu")


def test_layout_is_noise_then_one_hots_then_continuous():
    latent = Coded(size=12, categories=[3, 4], continuous=2)
    z = latent(500, CPU)
    assert z.shape == (500, 12)
    for one_hots in (z[:, 3:6], z[:, 6:10]):
        assert torch.equal(one_hots.sum(1), torch.ones(500))
        assert set(one_hots.unique().tolist()) == {0.0, 1.0}
        assert (one_hots.sum(0) > 500 / one_hots.shape[1] * 0.7).all()
    uniform = torch.cat([z[:, :3], z[:, 10:]], dim=1)
    assert uniform.abs().max() <= 1
    assert uniform.var().item() == pytest.approx(1 / 3, rel=0.1)


@pytest.mark.parametrize(("categories", "continuous"), [([], 0), ([10], 3)])
def test_impossible_codes_are_refused(categories, continuous):
    with pytest.raises(ValueError, match="latent dimensions"):
        Coded(size=12, categories=categories, continuous=continuous)


def channel(flip, wrong):
    """Ten latents with one bit each, and logits of Q(c|x) when the last ``wrong`` of each bit arrive flipped."""
    z = torch.tensor([[1.0, 0.0]] * 10 + [[0.0, 1.0]] * 10)
    seen = torch.tensor(([0] * (10 - wrong) + [1] * wrong) + ([1] * (10 - wrong) + [0] * wrong))
    posterior = torch.full((20, 2), flip).scatter(1, seen[:, None], 1 - flip)
    return z, posterior.log()


@pytest.mark.parametrize(
    ("flip", "bound"), [(0.1, 0.368064207168), (0.2, 0.331374193134), (0.5, 0.0)], ids=["true", "wrong", "uniform"]
)
def test_bound_on_a_binary_symmetric_channel(flip, bound):
    latent = Coded(size=2, categories=[2], continuous=0)
    z, logits = channel(flip, wrong=1)
    assert latent.entropy - latent.cross_entropy(z, logits).item() == pytest.approx(bound, abs=1e-6)


def test_several_categories_add_up():
    latent = Coded(size=9, categories=[2, 4], continuous=1)
    assert latent.entropy == pytest.approx(math.log(8))
    uniform = torch.zeros(5, 7)
    assert latent.cross_entropy(latent(5, CPU), uniform).item() == pytest.approx(math.log(8), abs=1e-6)


def test_continuous_codes_at_a_hand_computed_point():
    latent = Coded(size=3, categories=[], continuous=2)
    z = torch.tensor([[0.9, 0.3, -0.5]])
    prediction = torch.tensor([[0.1, 0.5]])
    assert latent.squared_error(z, prediction).item() == pytest.approx((0.04 + 1.0) / 2)
    expected = (0.5 * 0.04 + 0.5 * 1.0) + math.log(2 * math.pi)
    assert latent.negative_log_likelihood(z, prediction).item() == pytest.approx(expected)


def test_traversals_change_one_code_only():
    latent = Coded(size=8, categories=[3], continuous=2)
    sweeps = latent.traversals(rows=4, columns=5, extent=2.0, device=CPU)
    assert list(sweeps) == ["categorical_1", "continuous_1", "continuous_2"]
    categories = sweeps["categorical_1"].view(4, 3, 8)
    assert torch.equal(categories[:, :, 3:6], torch.eye(3).expand(4, 3, 3))
    continuous = sweeps["continuous_2"].view(4, 5, 8)
    assert torch.equal(continuous[..., 7], torch.linspace(-2, 2, 5).expand(4, 5))
    for sweep, swept in ((categories, slice(3, 6)), (continuous, slice(7, 8))):
        others = sweep.clone()
        others[..., swept] = 0
        assert torch.equal(others, others[:, :1].expand_as(others))
    assert torch.equal(categories[:, 0, :3], continuous[:, 0, :3])
