from __future__ import annotations

import pytest
import torch

from ganrun.latents.arithmetic import Term, around, at_home, means, parse, total


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        ("3,7,12 - 4,8 + 5", [Term(1, (3, 7, 12)), Term(-1, (4, 8)), Term(1, (5,))]),
        ("0", [Term(1, (0,))]),
        (" -1 , 2+3 ", [Term(-1, (1, 2)), Term(1, (3,))]),
    ],
)
def test_sums_are_read(written, terms):
    assert parse(written) == terms


@pytest.mark.parametrize("written", ["", "a", "1 2", "1 - ", "1,,2", "1 - -2", "1.5", "3 * 2", "1,2 -", "+"])
def test_what_is_no_sum_is_refused(written):
    with pytest.raises(ValueError, match="Write numbers of samples"):
        parse(written)


def test_means_and_their_sum():
    latents = torch.eye(4)
    terms = parse("0,1 - 2 + 3,3")
    assert means(latents, terms).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert total(means(latents, terms), terms).tolist() == [0.5, 0.5, -1, 1]


def test_means_are_brought_back_to_where_latents_are():
    torch.manual_seed(0)
    normal = torch.randn(1000, 100)
    mean = normal[:9].mean(0, keepdim=True)
    assert mean.norm() < 4  # a third of the usual length
    home = at_home(mean, normal, "spherical")
    assert home.norm() == pytest.approx(10, rel=0.01)
    assert torch.cosine_similarity(home, mean) == pytest.approx(1)
    assert at_home(torch.tensor([[0.5, 3.0, -2.0]]), normal, "linear").tolist() == [[0.5, 1, -1]]
    assert torch.isfinite(at_home(torch.zeros(1, 100), normal, "spherical")).all()


def test_neighbours_are_distributed_as_latents_and_lie_near():
    torch.manual_seed(0)
    point = torch.randn(20000)
    near = around(point, 4, 0.25, "spherical")
    assert near.std(1).tolist() == pytest.approx([1] * 4, abs=0.03)
    assert torch.cosine_similarity(near, point[None]).tolist() == pytest.approx([(1 - 1 / 16) ** 0.5] * 4, abs=0.02)
    assert torch.equal(around(point, 2, 0.0, "spherical")[0], point)
    uniform = torch.rand(20000) * 2 - 1
    moved = around(uniform, 3, 0.25, "linear")
    assert (moved - uniform).abs().max() <= 0.25 + 1e-6
    assert moved.abs().max() <= 1
    assert (moved - uniform).std() == pytest.approx(0.25 / 3**0.5, rel=0.1)
