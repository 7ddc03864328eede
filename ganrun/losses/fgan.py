"""Generative adversarial networks for f-divergences (Nowozin, Cseke & Tomioka, *f-GAN*, NeurIPS 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

from ganrun.core.arguments import Positive
from ganrun.losses.base import AdversarialLoss

Formula = Callable[[Tensor], Tensor]

LOG2 = math.log(2)


class Divergence(NamedTuple):
    """D_f(P, Q) = E_Q f(p/q), as formulas of a discriminator's raw output v.

    ``conjugate`` is f*(T(v)) in closed form: composed of f* and T it would overflow or cancel.

    Args:
        witness: T(v), which increases and has the domain of f* for its range.
        conjugate: f*(T(v)).
        slope: f'(1), the optimal T where p = q.
        value: f(1), the divergence where P = Q.
        threshold: the v with T(v) = f'(1); a sample is called real above it.
    """

    witness: Formula
    conjugate: Formula
    slope: float = 0.0
    value: float = 0.0
    threshold: float = 0.0


class _LogRatio(torch.autograd.Function):
    """The s with s + 1 - exp(-s) = t, by Newton's method; -s is log W(exp(1 - t)) with Lambert's W.

    Five steps from the start below reach the precision of float64 for t in [-200, 60] and beyond.
    """

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        s = torch.where(t > 1, t - 1, -torch.log1p(relu(1 - t)))
        for _ in range(5):
            s = s - (s + 1 - torch.exp(-s) - t) / (1 + torch.exp(-s))
        ctx.save_for_backward(s)
        return s

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (s,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(s)


def log_ratio(t: Tensor) -> Tensor:
    """The log density ratio at which Jeffrey's f' is ``t``, differentiable any number of times."""
    return _LogRatio.apply(t)


def _inverse_logsigmoid(t: float) -> float:
    """The v with log σ(v) = t < 0."""
    return t - math.log(-math.expm1(t))


def _log_softplus(v: Tensor) -> Tensor:
    """log(softplus(v)), which is v itself far to the left, where softplus underflows."""
    return torch.where(v < -40, v, torch.log(softplus(v.clamp(min=-40))))


def _jeffrey_conjugate(v: Tensor) -> Tensor:
    s = log_ratio(v)
    return torch.exp(s) + s - 1


def _pearson_conjugate(v: Tensor) -> Tensor:
    """v²/4 + v, but -1 below v = -2, where the ratio is 0."""
    return relu(v / 2 + 1) ** 2 - 1


def weighted_jensen_shannon(pi: float) -> Divergence:
    """π KL(P, M) + (1 - π) KL(Q, M) with the mixture M = π P + (1 - π) Q."""

    def conjugate(v: Tensor) -> Tensor:
        near = torch.log(-torch.expm1(-softplus(-v.clamp(max=40)) / pi))
        return (1 - pi) * (math.log(1 - pi) - torch.where(v > 40, -v - math.log(pi), near))

    middle = _inverse_logsigmoid(pi * math.log(pi))
    return Divergence(lambda v: logsigmoid(v) - pi * math.log(pi), conjugate, threshold=middle)


def alpha_divergence(alpha: float) -> Divergence:
    """f(u) = (u^α - 1 - α (u - 1)) / (α (α - 1)), for α other than 0 and 1."""
    power = alpha / (alpha - 1)
    if alpha > 1:
        return Divergence(lambda v: v, lambda v: (relu((alpha - 1) * v + 1) ** power - 1) / alpha)
    return Divergence(
        lambda v: 1 / (1 - alpha) + logsigmoid(v),
        lambda v: torch.expm1(power * (math.log(1 - alpha) + _log_softplus(-v))) / alpha,
        threshold=_inverse_logsigmoid(-1 / (1 - alpha)),
    )


CONJUGATE = {
    "total_variation": Divergence(lambda v: torch.tanh(v) / 2, lambda v: torch.tanh(v) / 2),
    "kl": Divergence(lambda v: v, lambda v: torch.exp(v - 1), slope=1.0, threshold=1.0),
    "reverse_kl": Divergence(lambda v: -torch.exp(-v), lambda v: v - 1, slope=-1.0),
    "pearson": Divergence(lambda v: v, _pearson_conjugate),
    "neyman": Divergence(lambda v: -torch.expm1(-v), lambda v: -2 * torch.expm1(-v / 2)),
    "squared_hellinger": Divergence(lambda v: -torch.expm1(-v), torch.expm1),
    "jeffrey": Divergence(lambda v: v, _jeffrey_conjugate),
    "jensen_shannon": Divergence(lambda v: LOG2 + logsigmoid(v), lambda v: softplus(v) - LOG2),
    "gan": Divergence(logsigmoid, softplus, slope=-LOG2, value=-2 * LOG2),
}
"""Divergences whose T = g_f(v) is given by an output activation that increases."""


def weighted_jensen_shannon_of_ratio(pi: float) -> Divergence:
    """As :func:`weighted_jensen_shannon`, of v = log(p/q)."""

    def log_mixture(v: Tensor) -> Tensor:
        return torch.logaddexp(v + math.log(pi), torch.full_like(v, math.log(1 - pi)))

    return Divergence(lambda v: pi * (v - log_mixture(v)), lambda v: (1 - pi) * log_mixture(v))


def alpha_divergence_of_ratio(alpha: float) -> Divergence:
    """As :func:`alpha_divergence`, of v = log(p/q)."""
    return Divergence(lambda v: torch.expm1((alpha - 1) * v) / (alpha - 1), lambda v: torch.expm1(alpha * v) / alpha)


RATIO = {
    "kl": Divergence(lambda v: v + 1, torch.exp, slope=1.0),
    "reverse_kl": Divergence(lambda v: -torch.exp(-v), lambda v: v - 1, slope=-1.0),
    "pearson": Divergence(lambda v: 2 * torch.expm1(v), lambda v: torch.expm1(2 * v)),
    "neyman": Divergence(lambda v: -torch.expm1(-2 * v), lambda v: -2 * torch.expm1(-v)),
    "squared_hellinger": Divergence(lambda v: -torch.expm1(-v / 2), lambda v: torch.expm1(v / 2)),
    "jeffrey": Divergence(lambda v: v + 1 - torch.exp(-v), lambda v: torch.exp(v) + v - 1),
    "jensen_shannon": CONJUGATE["jensen_shannon"],
    "gan": CONJUGATE["gan"],
}
"""Divergences of v = log(p/q): T = f'(exp v), and f*(T) = u f'(u) - f(u) at u = exp v."""


def _find(name: str, alpha: float, pi: float, parametrisation: str) -> Divergence:
    """A divergence by name.

    Raises:
        ValueError: it is total variation of a ratio, or an alpha-divergence with ``alpha`` 0 or 1.
    """
    ratio = parametrisation == "ratio"
    if name == "alpha":
        if alpha in (0, 1):
            raise ValueError(f"alpha may not be {alpha:g}; that limit is divergence {['reverse_kl', 'kl'][int(alpha)]}")
        return alpha_divergence_of_ratio(alpha) if ratio else alpha_divergence(alpha)
    if name == "jensen_shannon_weighted":
        return weighted_jensen_shannon_of_ratio(pi) if ratio else weighted_jensen_shannon(pi)
    if ratio and name == "total_variation":
        raise ValueError("total variation has a step of the ratio for its T, which gives no gradient")
    return (RATIO if ratio else CONJUGATE)[name]


class FGAN(AdversarialLoss):
    """``-T(r) + f*(T(f))`` against ``-f*(T(f))`` or ``-T(f)`` (sections 2 and 3.2).

    For every discriminator the negative of its loss is below D_f(p, p_g), and equal at T = f'(p / p_g).
    ``gan`` is the minimax GAN (saturating) or the non-saturating one (alternative), for which f(1) is not 0.

    Differs from the paper: its table of divergences swaps Pearson and Neyman, and has half of what its f for
    Jensen-Shannon gives; Pearson's conjugate is -1 below T = -2, where the printed one would push the generator back.

    Args:
        divergence: f. Those with exponentials (``kl``, ``reverse_kl``, ``neyman``, ``squared_hellinger``, ``jeffrey``,
            ``alpha`` below 1) may be ruled by single samples; see ``clamp``.
        alpha: of ``divergence=alpha``; 2 is half of Pearson, -1 half of Neyman, 1/2 twice the squared Hellinger.
        pi: share of the real distribution in the mixture of ``divergence=jensen_shannon_weighted``.
        generator: ``"saturating"``: the minimax loss; ``"alternative"``: the one that the paper recommends. Which of
            them saturates depends on f: under ``reverse_kl`` it is the alternative whose gradient explodes.
        parametrisation: what the raw output v is: ``"conjugate"``: T = g_f(v) with the activation g_f of the paper;
            ``"ratio"``: T = f'(exp v), so that every divergence has the optimum v = log(p / p_g).
        clamp: v is limited to [-clamp, clamp] in the discriminator's loss; ``None``: it is not.

    Raises:
        ValueError: ``alpha`` is 0 or 1 where it counts, or total variation is to be a function of the ratio.
    """

    def __init__(
        self,
        divergence: Literal[
            "total_variation",
            "kl",
            "reverse_kl",
            "pearson",
            "neyman",
            "squared_hellinger",
            "jeffrey",
            "jensen_shannon",
            "jensen_shannon_weighted",
            "gan",
            "alpha",
        ],
        alpha: float,
        pi: Annotated[float, "> 0", "< 1"],
        generator: Literal["saturating", "alternative"],
        parametrisation: Literal["conjugate", "ratio"],
        clamp: Positive | None,
    ) -> None:
        super().__init__()
        self.name = divergence
        self.divergence = _find(divergence, alpha, pi, parametrisation)
        self.threshold = self.divergence.threshold
        self.generator = generator
        self.clamp = clamp

    def discriminator_real(self, score: Tensor) -> Tensor:
        return -self.divergence.witness(self._clamped(score))

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return self.divergence.conjugate(self._clamped(score))

    def generator_fake(self, score: Tensor) -> Tensor:
        return -(self.divergence.conjugate if self.generator == "saturating" else self.divergence.witness)(score)

    def generator_real(self, score: Tensor) -> Tensor:
        return self.divergence.witness(score)

    def equilibrium(self) -> dict[str, float]:
        """Where T = f'(1), and f*(T) = f'(1) - f(1); total variation leaves T open."""
        slope, value = self.divergence.slope, self.divergence.value
        if self.name == "total_variation":
            return {"discriminator": 0.0}
        return {"discriminator": -value, "generator": (value if self.generator == "saturating" else 0.0) - slope}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """``fgan_`` and the divergence; ``fgan_jensen_shannon`` is twice the JSD, ``fgan_gan`` 2 JSD - 2 log 2."""
        return {f"fgan_{self.name}": -discriminator_loss}

    def _clamped(self, score: Tensor) -> Tensor:
        return score if self.clamp is None else score.clamp(-self.clamp, self.clamp)
