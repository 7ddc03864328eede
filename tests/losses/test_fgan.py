"""f-divergences against their definitions, an independent supremum, and reference numbers."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import wrightomega

from ganrun.losses.fgan import CONJUGATE, FGAN, RATIO, alpha_divergence, log_ratio
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating

REAL = torch.tensor([1.2, -0.4, 0.3], dtype=torch.float64)
FAKE = torch.tensor([-0.7, 0.5, 2.0], dtype=torch.float64)
P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
Q = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
LOG2 = math.log(2)


def weighted(u, pi):
    return pi * u * torch.log(u) - (1 - pi + pi * u) * torch.log(1 - pi + pi * u)


def alpha(u, a):
    return (u**a - 1 - a * (u - 1)) / (a * (a - 1))


DEFINITION = {
    "total_variation": lambda u: (u - 1).abs() / 2,
    "kl": lambda u: u * torch.log(u),
    "reverse_kl": lambda u: -torch.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
    "squared_hellinger": lambda u: (u.sqrt() - 1) ** 2,
    "jeffrey": lambda u: (u - 1) * torch.log(u),
    "jensen_shannon": lambda u: u * torch.log(u) - (u + 1) * torch.log((1 + u) / 2),
    "jensen_shannon_weighted": lambda u: weighted(u, 0.3),
    "gan": lambda u: u * torch.log(u) - (u + 1) * torch.log(u + 1),
    "alpha_0.5": lambda u: alpha(u, 0.5),
    "alpha_2": lambda u: alpha(u, 2),
    "alpha_-1": lambda u: alpha(u, -1),
    "alpha_3": lambda u: alpha(u, 3),
}
"""f(u) as the paper writes it."""

EXPONENTIAL = ["kl", "reverse_kl", "neyman", "squared_hellinger", "jeffrey", "alpha_0.5"]


def fgan(name, generator="alternative", parametrisation="conjugate", clamp=None):
    kind, _, number = name.partition("_") if name.startswith("alpha") else (name, "", "")
    return FGAN(kind, float(number or 0.5), 0.3, generator, parametrisation, clamp)


def inverse(increasing, target):
    """Where an increasing function reaches ``target``, by bisection."""
    low, high = torch.full_like(target, -700), torch.full_like(target, 700)
    for _ in range(200):
        middle = (low + high) / 2
        below = increasing(middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def slope(name, u):
    """f'(u) by automatic differentiation of the definition."""
    u = u.detach().clone().requires_grad_()
    return torch.autograd.grad(DEFINITION[name](u).sum(), u)[0]


@pytest.mark.parametrize(
    ("name", "parametrisation", "discriminator", "saturating", "alternative"),
    [
        ("total_variation", "conjugate", 0.0127931171684, -0.136962826703, -0.136962826703),
        ("kl", "conjugate", 0.802498670741, -1.16916533741, -0.6),
        ("reverse_kl", "conjugate", 0.444612376745, 0.4, 0.91853955014),
        ("pearson", "conjugate", 0.628333333333, -0.995, -0.6),
        ("neyman", "conjugate", 0.134113861521, -0.289501484776, -0.0814604498601),
        ("squared_hellinger", "conjugate", 2.02273326789, -2.17812089114, -0.0814604498601),
        ("jeffrey", "conjugate", 0.914986239845, -1.28165290651, -0.6),
        ("jensen_shannon", "conjugate", 0.358653641652, -0.47491650081, -0.12508349919),
        ("jensen_shannon_weighted", "conjugate", 0.2741255403, -0.058433060196, 0.206871840072),
        ("gan", "conjugate", 1.74494800277, -1.16806368137, 0.56806368137),
        ("alpha_0.5", "conjugate", 11.1026297491, -12.5257454277, -1.43193631863),
        ("alpha_2", "conjugate", 1.02333333333, -1.39, -0.6),
        ("kl", "ratio", 1.81145422447, -3.17812089114, -1.6),
        ("reverse_kl", "ratio", 0.444612376745, 0.4, 0.91853955014),
        ("pearson", "ratio", 16.6274790909, -18.1876762752, -4.35624178228),
        ("neyman", "ratio", 0.117944405679, -0.16292089972, 0.480465015635),
        ("squared_hellinger", "ratio", 0.445972568515, -0.568998444955, -0.144750742388),
        ("jeffrey", "ratio", 2.25606660122, -2.77812089114, -0.68146044986),
        ("jensen_shannon", "ratio", 0.358653641652, -0.47491650081, -0.12508349919),
        ("gan", "ratio", 1.74494800277, -1.16806368137, 0.56806368137),
        ("jensen_shannon_weighted", "ratio", 0.19545941463, -0.253063738905, -0.0715441118978),
    ],
)
def test_value_at_fixed_outputs(sides, name, parametrisation, discriminator, saturating, alternative):
    for generator, value in (("saturating", saturating), ("alternative", alternative)):
        reached = sides(fgan(name, generator, parametrisation, 10.0), REAL, FAKE)
        assert [side.item() for side in reached] == pytest.approx([discriminator, value], abs=1e-9)


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("total_variation", {-0.5: -0.5, -0.2: -0.2, 0: 0.0, 0.3: 0.3, 0.5: 0.5}),
        ("kl", {-2: 0.0497870683679, 0: 0.367879441171, 1: 1.0, 2: 2.71828182846}),
        ("reverse_kl", {-3: -2.09861228867, -1: -1.0, -0.25: 0.38629436112}),
        ("pearson", {-3: -1.0, -1.5: -0.9375, 0: 0.0, 1: 1.25, 3: 5.25}),
        ("neyman", {-3: -2.0, 0: 0.0, 0.5: 0.585786437627, 0.9: 1.36754446797}),
        ("squared_hellinger", {-3: -0.75, 0: 0.0, 0.5: 1.0, 0.9: 9.0}),
        ("jeffrey", {-5: -2.28094875037, -2: -1.33914911682, 0: 0.0, 1: 1.33036612476, 4: 23.1096474525}),
        ("jensen_shannon", {-2: -0.6230812604, 0: 0.0, 0.5: 1.04617527008}),
        ("jensen_shannon_weighted", {-1: -0.242140545854, 0: 0.0, 0.3: 0.933342989114}),
        ("gan", {-3: 0.0510691809427, -0.6931471805599453: 0.69314718056, -0.1: 2.35216846104}),
        ("alpha_0.5", {-2: -1.0, 0: 0.0, 1.5: 6.0}),
        ("alpha_2", {-0.9: -0.495, 0: 0.0, 2: 4.0}),
        ("alpha_-1", {-2: -1.2360679775, 0: 0.0, 0.4: 0.5527864045}),
        ("alpha_3", {-0.4: -0.303519093633, 0: 0.0, 1: 1.39871747424}),
    ],
)
def test_conjugates(name, points):
    """The composite at the output for which T is t equals f*(t)."""
    row = fgan(name).divergence
    t = torch.tensor(list(points), dtype=torch.float64)
    v = inverse(row.witness, t)
    assert row.witness(v).tolist() == pytest.approx(list(points), abs=1e-9)
    assert row.conjugate(v).tolist() == pytest.approx(list(points.values()), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "witness", "conjugate"),
    [
        (
            "total_variation",
            [-0.482013790038, -0.23105857863, 0.0, 0.452574126822],
            [-0.482013790038, -0.23105857863, 0.0, 0.452574126822],
        ),
        ("kl", [-2.0, -0.5, 0.0, 1.5], [0.0497870683679, 0.223130160148, 0.367879441171, 1.6487212707]),
        ("reverse_kl", [-7.38905609893, -1.6487212707, -1.0, -0.223130160148], [-3.0, -1.5, -1.0, 0.5]),
        ("pearson", [-2.0, -0.5, 0.0, 1.5], [-1.0, -0.4375, 0.0, 2.0625]),
        (
            "neyman",
            [-6.38905609893, -0.6487212707, 0.0, 0.776869839852],
            [-3.43656365692, -0.568050833375, 0.0, 1.05526689452],
        ),
        (
            "squared_hellinger",
            [-6.38905609893, -0.6487212707, 0.0, 0.776869839852],
            [-0.864664716763, -0.393469340287, 0.0, 3.48168907034],
        ),
        ("jeffrey", [-2.0, -0.5, 0.0, 1.5], [-1.33914911682, -0.444501273699, 0.0, 2.37579967887]),
        (
            "jensen_shannon",
            [-1.43378083048, -0.28092980362, 0.0, 0.491733902577],
            [-0.566219169517, -0.21907019638, 0.0, 1.00826609742],
        ),
        (
            "jensen_shannon_weighted",
            [-1.76573616975, -0.612885142882, -0.331955339262, 0.159778563315],
            [-0.24908869925, -0.221903285312, -0.176532280891, 0.251108413749],
        ),
        (
            "gan",
            [-2.12692801104, -0.97407698418, -0.69314718056, -0.201413277983],
            [0.126928011043, 0.47407698418, 0.69314718056, 1.70141327798],
        ),
        (
            "alpha_0.5",
            [-0.126928011043, 1.02592301582, 1.30685281944, 1.79858672202],
            [-0.119353368223, 2.10645161005, 3.77078016356, 17.8596638715],
        ),
        ("alpha_2", [-2.0, -0.5, 0.0, 1.5], [-0.5, -0.375, 0.0, 2.625]),
        (
            "alpha_-1",
            [-1.62692801104, -0.47407698418, -0.19314718056, 0.298586722017],
            [-1.0624878235, -0.395762862509, -0.177410022515, 0.365313813002],
        ),
        ("alpha_3", [-2.0, -0.5, 0.0, 1.5], [-0.333333333333, -0.333333333333, 0.0, 2.33333333333]),
    ],
)
def test_activations(name, witness, conjugate):
    row = fgan(name).divergence
    v = torch.tensor([-2.0, -0.5, 0.0, 1.5], dtype=torch.float64)
    assert row.witness(v).tolist() == pytest.approx(witness, abs=1e-9)
    assert row.conjugate(v).tolist() == pytest.approx(conjugate, abs=1e-9)


@pytest.mark.parametrize("name", DEFINITION)
def test_the_composite_is_the_supremum(name):
    """f*(T) = sup of u T - f(u), searched on a fine grid of u."""
    row = fgan(name).divergence
    u = torch.logspace(-12, 12, 400_001, dtype=torch.float64)
    v = torch.tensor([-1.7, -0.6, 0.2, 1.1], dtype=torch.float64)
    t = row.witness(v)
    found = (u * t[:, None] - DEFINITION[name](u)).amax(1)
    assert row.conjugate(v).tolist() == pytest.approx(found.tolist(), abs=1e-4)


@pytest.mark.parametrize("parametrisation", ["conjugate", "ratio"])
@pytest.mark.parametrize(
    ("name", "divergence"),
    [
        ("total_variation", 0.4),
        ("kl", 0.360062440636),
        ("reverse_kl", 0.394816205204),
        ("pearson", 0.766666666667),
        ("neyman", 1.01333333333),
        ("squared_hellinger", 0.184826196382),
        ("jeffrey", 0.75487864584),
        ("jensen_shannon", 0.181131699911),
        ("jensen_shannon_weighted", 0.0752289587099),
        ("gan", -1.20516266121),
        ("alpha_0.5", 0.369652392764),
        ("alpha_2", 0.383333333333),
        ("alpha_-1", 0.506666666667),
        ("alpha_3", 0.47037037037),
    ],
)
def test_the_bound_is_tight_at_the_best_scores_only(best, pair, sides, name, divergence, parametrisation):
    """On the pair of distributions: with T = f'(p/q), and after a search; any other scores give less."""
    if name == "total_variation" and parametrisation == "ratio":
        return
    loss = fgan(name, parametrisation=parametrisation)
    kind = "alpha" if name.startswith("alpha") else name
    u = P / Q
    assert (Q * DEFINITION[name](u)).sum().item() == pytest.approx(divergence, abs=1e-10)
    v = torch.log(u) if parametrisation == "ratio" else inverse(loss.divergence.witness, slope(name, u))
    assert loss.divergence.witness(v).tolist() == pytest.approx(slope(name, u).tolist(), abs=1e-9)
    value = sides(loss, v[pair[0]], v[pair[1]])[0]
    assert loss.certificate(value)[f"fgan_{kind}"].item() == pytest.approx(divergence, abs=1e-9)
    torch.manual_seed(0)
    for _ in range(20):
        other = torch.randn(3, dtype=torch.float64)
        value = sides(loss, other[pair[0]], other[pair[1]])[0]
        assert loss.certificate(value)[f"fgan_{kind}"].item() < divergence - 1e-6
    if name != "total_variation":  # whose optimum is at infinity
        assert -best(loss)[1] == pytest.approx(divergence, abs=1e-9)


def normal(mean: float, deviation: float) -> torch.distributions.Normal:
    return torch.distributions.Normal(*torch.tensor([mean, deviation], dtype=torch.float64))


def quadrature(mean: float, deviation: float) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.linspace(mean - 14 * deviation, mean + 14 * deviation, 40_001, dtype=torch.float64)
    return x, normal(mean, deviation).log_prob(x).exp() * (x[1] - x[0])


@pytest.mark.parametrize(
    ("mean", "deviation", "divergences"),
    [
        (
            1.0,
            1.0,
            {
                "kl": 0.5,
                "reverse_kl": 0.5,
                "jeffrey": 1.0,
                "pearson": math.e - 1,
                "neyman": math.e - 1,
                "squared_hellinger": 0.235006194831,
                "total_variation": 0.382924922548,
                "jensen_shannon": 0.222842964369,
                "jensen_shannon_weighted": 0.0949104738868,
                "gan": -1.16345139675,
                "alpha_0.5": 0.470012389662,
                "alpha_2": 0.85914091423,
                "alpha_-1": 0.85914091423,
                "alpha_3": 3.18092282053,
            },
        ),
        (
            0.5,
            1.2,
            {
                "kl": 0.116349334572,
                "reverse_kl": 0.162678443206,
                "jeffrey": 0.279027777778,
                "pearson": 0.199597337705,
                "neyman": 0.740228214285,
                "squared_hellinger": 0.0666238494292,
                "total_variation": 0.192988495516,
                "jensen_shannon": 0.0641937839492,
                "jensen_shannon_weighted": 0.0257251833544,
                "gan": -1.32210057717,
                "alpha_0.5": 0.133247698858,
                "alpha_2": 0.0997986688525,
                "alpha_-1": 0.370114107143,
                "alpha_3": 0.0945767880805,
            },
        ),
    ],
)
def test_gaussians(mean, deviation, divergences):
    """P = N(0, 1) and Q = N(mean, deviation²), with T from the ratio of densities; the second catches swapped roles."""
    ratio = {name: fgan(name, parametrisation="ratio").divergence for name in divergences if name != "total_variation"}
    p, q = normal(0.0, 1.0), normal(mean, deviation)

    def log_u(x):
        return p.log_prob(x) - q.log_prob(x)

    (x, under_p), (y, under_q) = quadrature(0.0, 1.0), quadrature(mean, deviation)
    for name, divergence in divergences.items():
        if name == "total_variation":  # its T is a step, which tanh reaches far out
            row, far = fgan(name).divergence, 1e6
            bound = (under_p * row.witness(far * log_u(x))).sum() - (under_q * row.conjugate(far * log_u(y))).sum()
            assert bound.item() == pytest.approx(divergence, abs=1e-3)
        else:
            row = ratio[name]
            bound = (under_p * row.witness(log_u(x))).sum() - (under_q * row.conjugate(log_u(y))).sum()
            assert bound.item() == pytest.approx(divergence, abs=1e-7)


@pytest.mark.parametrize("parametrisation", ["conjugate", "ratio"])
@pytest.mark.parametrize("name", DEFINITION)
def test_equilibrium(sides, name, parametrisation):
    """At p = q: T = f'(1), the discriminator's loss -f(1), the generator's read off the formulas."""
    if name == "total_variation":
        assert fgan(name).equilibrium() == {"discriminator": 0.0}
        return
    one = torch.ones(1, dtype=torch.float64)
    for generator in ("saturating", "alternative"):
        loss = fgan(name, generator, parametrisation)
        assert loss.divergence.slope == pytest.approx(slope(name, one).item(), abs=1e-12)
        assert loss.divergence.value == pytest.approx(DEFINITION[name](one).item(), abs=1e-12)
        v = inverse(loss.divergence.witness, slope(name, one))
        reached = sides(loss, v, v)
        assert [side.item() for side in reached] == pytest.approx(list(loss.equilibrium().values()), abs=1e-9)


@pytest.mark.parametrize("parametrisation", ["conjugate", "ratio"])
@pytest.mark.parametrize("name", [*CONJUGATE, "jensen_shannon_weighted", "alpha"])
@pytest.mark.parametrize("number", [0.3, 0.9999, 3.0])
def test_the_threshold_is_where_the_slope_is_that_of_equal_densities(name, parametrisation, number):
    if name == "total_variation" and parametrisation == "ratio":
        return
    loss = FGAN(name, number, min(number, 0.5), "alternative", parametrisation, None)
    found = loss.divergence.witness(torch.tensor(loss.threshold, dtype=torch.float64))
    assert found.item() == pytest.approx(loss.divergence.slope, abs=1e-9)


def test_gan_is_the_minimax_and_the_non_saturating_loss(sides):
    for generator, other in (("saturating", Minimax), ("alternative", NonSaturating)):
        plain = other(1.0, 0.0, 0.0)
        for parametrisation in ("conjugate", "ratio"):
            loss = fgan("gan", generator, parametrisation)
            assert torch.allclose(torch.stack(sides(loss, REAL, FAKE)), torch.stack(sides(plain, REAL, FAKE)))
            assert loss.equilibrium() == pytest.approx(plain.equilibrium())


def test_limits_of_the_alpha_family():
    v = torch.linspace(-3, 3, 7, dtype=torch.float64)
    near = {1e-6: RATIO["reverse_kl"], 1 - 1e-6: RATIO["kl"], 1 + 1e-6: RATIO["kl"]}
    for a, other in near.items():
        loss = FGAN("alpha", a, 0.5, "saturating", "ratio", None).divergence
        # T is known up to a constant c, which adds c to f* and nothing to the divergence
        shift = (loss.witness(v) - other.witness(v)).mean()
        assert torch.allclose(loss.witness(v) - shift, other.witness(v), atol=1e-3)
        assert torch.allclose(loss.conjugate(v) - shift, other.conjugate(v), atol=1e-3)


@pytest.mark.parametrize("name", DEFINITION)
def test_derivatives_are_those_of_central_differences(name):
    row = fgan(name).divergence
    v = torch.tensor([-6.0, -2.5, -1.1, 0.3, 1.9, 6.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(row.witness, v)
    assert torch.autograd.gradcheck(row.conjugate, v)


@pytest.mark.parametrize(
    ("name", "saturating", "alternative"),
    [
        ("total_variation", lambda v: -(1 - v.tanh() ** 2) / 2, lambda v: -(1 - v.tanh() ** 2) / 2),
        ("kl", lambda v: -(v - 1).exp(), lambda v: -torch.ones_like(v)),
        ("reverse_kl", lambda v: -torch.ones_like(v), lambda v: -(-v).exp()),
        ("pearson", lambda v: -(v / 2 + 1).relu(), lambda v: -torch.ones_like(v)),
        ("neyman", lambda v: -(-v / 2).exp(), lambda v: -(-v).exp()),
        ("squared_hellinger", lambda v: -v.exp(), lambda v: -(-v).exp()),
        ("jensen_shannon", lambda v: -v.sigmoid(), lambda v: -(-v).sigmoid()),
        ("gan", lambda v: -v.sigmoid(), lambda v: -(-v).sigmoid()),
    ],
)
def test_generator_gradients(name, saturating, alternative):
    """Pearson's vanishes below -2, where the printed conjugate would push the wrong way."""
    for generator, expected in (("saturating", saturating), ("alternative", alternative)):
        v = torch.tensor([-3.0, -0.5, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
        fgan(name, generator).generator_fake(v).sum().backward()
        assert torch.allclose(v.grad, expected(v.detach()), atol=1e-12)


def test_the_discriminator_prefers_higher_scores_of_reals():
    v = torch.linspace(-4, 4, 50, dtype=torch.float64)
    for table in (CONJUGATE, RATIO):
        for row in table.values():
            assert (row.witness(v).diff() > 0).all()
            assert (row.conjugate(v).diff() >= 0).all()


@pytest.mark.parametrize("name", DEFINITION)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_far_out(sides, name, dtype):
    """The discriminator's loss is limited by the clamp; the generator's own is finite unless it is an exponential."""
    for real, fake in ((1e4, 1e4), (-1e4, 1e4), (1e4, -1e4), (-1e4, -1e4)):
        scores = torch.tensor([real], dtype=dtype), torch.tensor([fake], dtype=dtype)
        leaves = [score.requires_grad_() for score in scores]
        value, _ = sides(fgan(name, clamp=10.0), *leaves)
        assert value.isfinite()
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, leaves))
        if name not in EXPONENTIAL:
            for generator in ("saturating", "alternative"):
                fgan(name, generator).generator_fake(leaves[1]).sum().backward()
                assert leaves[1].grad.isfinite().all()


@pytest.mark.parametrize("name", ["jensen_shannon_weighted", "alpha_-1", "alpha_0.5"])
def test_single_precision_keeps_the_tails(name):
    """Against double precision, where a composition of f* and T would under- or overflow."""
    row = fgan(name).divergence
    for v in (-60.0, -30.0, 30.0, 45.0, 60.0):
        single, double = (row.conjugate(torch.tensor(v, dtype=dtype)) for dtype in (torch.float32, torch.float64))
        assert single.item() == pytest.approx(double.item(), rel=1e-4)


def test_a_clamp_leaves_the_generator_alone(sides):
    real, fake = torch.tensor([20.0]), torch.tensor([-20.0])
    clamped = sides(fgan("kl", clamp=10.0), real, fake)
    assert clamped[0].item() == pytest.approx(-10 + math.exp(-11))
    assert clamped[1].item() == 20


def test_log_ratio_is_lamberts_w():
    y = torch.tensor([-20.0, -5.0, -1.0, 0.0, 1.0, 5.0, 20.0, 100.0], dtype=torch.float64)
    omega = [2.06115361819e-09, 0.00669300049773, 0.278464542761, 0.56714329041, 1.0, 3.69344135896, 17.1575610462]
    found = torch.exp(-log_ratio(1 - y))
    assert found.tolist() == pytest.approx([*omega, 95.4414866456], rel=1e-9)
    t = torch.linspace(-200, 60, 2001, dtype=torch.float64)
    expected = torch.from_numpy(wrightomega((1 - t).numpy()))
    assert torch.allclose(torch.exp(-log_ratio(t)), expected, rtol=1e-12)
    assert torch.allclose(log_ratio(t.float()).double(), -torch.log(expected), atol=1e-5)


def test_jeffreys_conjugate_and_its_slope():
    t = torch.tensor([-5.0, -1.0, 0.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    value = CONJUGATE["jeffrey"].conjugate(t)
    expected = [-2.28094875037, -0.800653696943, 0.0, 1.33036612476, 9.45140099289]
    assert value.tolist() == pytest.approx(expected, abs=1e-9)
    slopes = [0.222387076625, 0.64220070406, 1.0, 1.76322283435, 8.3313727539]
    assert torch.autograd.grad(value.sum(), t)[0].tolist() == pytest.approx(slopes, abs=1e-9)


def test_log_ratio_is_differentiable_twice():
    t = torch.tensor([-8.0, -1.0, 0.5, 1.5, 6.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log_ratio, t)
    assert torch.autograd.gradgradcheck(log_ratio, t)
    assert torch.autograd.gradgradcheck(CONJUGATE["jeffrey"].conjugate, t)


def test_what_is_refused():
    with pytest.raises(ValueError, match="alpha may not be 1; that limit is divergence kl"):
        FGAN("alpha", 1.0, 0.5, "saturating", "conjugate", None)
    with pytest.raises(ValueError, match="alpha may not be 0; that limit is divergence reverse_kl"):
        FGAN("alpha", 0.0, 0.5, "saturating", "ratio", None)
    with pytest.raises(ValueError, match="total variation has a step"):
        FGAN("total_variation", 0.5, 0.5, "saturating", "ratio", None)


def test_halves_and_doubles_of_the_alpha_family():
    u = torch.tensor([0.2, 0.7, 1.0, 3.0], dtype=torch.float64)
    assert torch.allclose(alpha(u, 2), DEFINITION["pearson"](u) / 2)
    assert torch.allclose(alpha(u, -1), DEFINITION["neyman"](u) / 2)
    assert torch.allclose(alpha(u, 0.5), 2 * DEFINITION["squared_hellinger"](u))
    v = torch.linspace(-1.5, 3, 10, dtype=torch.float64)
    row = alpha_divergence(2.0)
    assert torch.allclose(2 * row.conjugate(v), CONJUGATE["pearson"].conjugate(2 * v))
