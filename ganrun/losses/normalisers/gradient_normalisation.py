"""Gradient normalisation (Wu et al., *Gradient Normalization for GANs*, ICCV 2021, arXiv 2109.02235)."""

from __future__ import annotations

from torch import Tensor

from ganrun.losses.normalisers.base import Normaliser


class GradientNormalisation(Normaliser):
    """``D(x) / (‖∇D(x)‖ + |D(x)|)``, which is within ±1 and unchanged by any factor on D.

    Where D is linear its slope is ``(‖∇D‖ / (‖∇D‖ + |D|))²``, at most 1; where the piece changes it jumps. Under it a
    hinge loss never clips, and cross-entropy stays above 2 softplus(-1) = 0.627.

    Differs from the paper: 1e-12 is added to the denominator, for a D that is 0 and flat.
    """

    def formula(self, score: Tensor, slope: Tensor) -> Tensor:
        return score / (slope + score.abs() + 1e-12)
