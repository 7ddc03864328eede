"""Adaptive discriminator augmentation (ADA).

Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, *Training Generative Adversarial Networks with Limited Data*,
NeurIPS 2020, arXiv 2006.06676.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Literal, get_args

import torch
from torch import Tensor

from ganrun.augment.affine import compose, grid, rotation, scaling, translation
from ganrun.augment.base import Augment, Judged
from ganrun.augment.resample import resample
from ganrun.core.arguments import Fraction, Positive, PositiveInt
from ganrun.core.tensors import summed_over_processes
from ganrun.core.types import Moment

Transform = Literal[
    "x_flip",
    "rotation_90",
    "integer_translation",
    "scale",
    "rotation",
    "anisotropic_scale",
    "fractional_translation",
    "brightness",
    "contrast",
    "luma_flip",
    "hue",
    "saturation",
]
COLOURS = frozenset({"brightness", "contrast", "luma_flip", "hue", "saturation"})


class AdaptiveAugment(Augment):
    """Transforms that are applied with probability p, which follows how much the discriminator overfits.

    Overfitting is read off ``r_t = E sign D(x)`` over the (augmented) training images (equation 1): 0 while the scores
    of reals lie on both sides of 0, towards 1 as the discriminator learns the training set by heart. Every
    ``interval_moves`` moves, p rises or falls by (images seen since) / ``speed_images``, as r_t is above or below
    ``target`` (section 3.2). Scores must have their boundary between real and fake at 0, as logistic and hinge
    losses see to. Those of losses on pairs and energies have no such zero, and are refused; a Wasserstein critic's have
    none either, so p then says little.

    Each transform hits each image with probability p, independently, in the order of appendix B:

    * ``x_flip`` mirrors half of those hit; ``rotation_90`` turns by 0, 90, 180 or 270 degrees; ``integer_translation``
      moves by whole pixels, uniformly within ±⅛ of the side;
    * ``scale`` by ``2^(0.2 n)``; ``rotation`` by any angle, before or after (or both) ``anisotropic_scale`` by
      ``2^(0.2 n)`` along one axis and its inverse along the other; ``fractional_translation`` by ``⅛ n`` of the side;
    * ``brightness`` adds ``0.2 n``; ``contrast`` multiplies by ``2^(0.5 n)``; ``luma_flip`` negates the luma of half of
      those hit; ``hue`` turns by any angle about the grey axis; ``saturation`` scales the distance from it by ``2^n``;

    with ``n ~ N(0, 1)``. At p = 0 all of it is the identity, exactly; hue and saturation always are for grey images.

    Differs from the paper: geometry is resampled bicubically at the image's own resolution, without its orthogonal
    wavelet filter and twofold oversampling, so what is turned is a little softer, and what is shrunk aliases; beyond
    the border the image is mirrored about the edge of its outermost pixels instead of their centres; p is kept
    at most 1; the image-space filters and corruptions, which are not in the paper's best set, are left out.

    Costs one bicubic resampling of every image and many small operations on ``[B]`` numbers; with several processes,
    also a sum over them in every move, so that all of them have the same p.

    Args:
        target: r_t aimed at; 0.6 in the paper.
        speed_images: real images over which p can go from 0 to 1.
        interval_moves: moves of the discriminator (with accumulation: micro-batches) between two adjustments of p.
        initial_probability: p at the beginning.
        transforms: which of the transforms take part.

    Shapes: ``[B, C, H, W]`` in [-1, 1], C = 1 or 3 -> the same; values may leave [-1, 1].

    Raises:
        ValueError: ``transforms`` names one that there is not, or colours are to change where
            channels are neither one nor three.
    """

    requires = ("images",)
    forbids = ("pairwise", "energy", "pairs")

    probability: Tensor
    sign_of_reals: Tensor
    observed: Tensor

    def __init__(
        self,
        target: Fraction,
        speed_images: Positive,
        interval_moves: PositiveInt,
        initial_probability: Fraction,
        transforms: Sequence[Transform],
    ) -> None:
        super().__init__()
        if unknown := sorted(set(transforms).difference(get_args(Transform))):
            raise ValueError(f"there is no transform {unknown[0]!r}; there are {', '.join(get_args(Transform))}")
        self.target = target
        self.speed_images = speed_images
        self.interval_moves = interval_moves
        self.transforms = frozenset(transforms)
        self.recolours = bool(self.transforms & COLOURS)
        self.moves = bool(self.transforms - COLOURS)
        self.register_buffer("probability", torch.tensor(float(initial_probability)))
        self.register_buffer("sign_of_reals", torch.zeros(()))
        self.register_buffer("observed", torch.zeros(3))  # since the last adjustment: sum of signs, images, moves

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        samples = self._move(samples) if self.moves else samples
        return self._recolour(samples) if self.recolours else samples

    @torch.no_grad()
    def observe(self, comparison: Judged) -> None:
        images = len(comparison.real)
        signs = comparison.real_output.score.sign().float().mean() * images
        seen = summed_over_processes(torch.stack([signs, torch.full_like(signs, images)]))
        self.observed += torch.cat([seen, torch.ones_like(seen[:1])])
        self._adjust()

    def _adjust(self) -> None:
        """Move p when the interval is over; written without a branch on values of the device."""
        signs, images, moves = self.observed.clone()
        due = moves >= self.interval_moves
        mean_sign = signs / images
        moved = self.probability + (mean_sign - self.target).sign() * images / self.speed_images
        self.probability.copy_(torch.where(due, moved.clamp(0.0, 1.0), self.probability))
        self.sign_of_reals.copy_(torch.where(due, mean_sign, self.sign_of_reals))
        self.observed.mul_(~due)

    def statistics(self) -> dict[str, Tensor]:
        return {"ada/probability": self.probability, "ada/sign_of_reals": self.sign_of_reals}

    def _some(self, name: Transform, drawn: Tensor, neutral: float, p: Tensor | None = None) -> Tensor:
        """``drawn`` (``[B]``, or ``[2, B]`` for both axes) where an image is hit, ``neutral`` for the others."""
        if name not in self.transforms:
            return torch.full_like(drawn, neutral)
        hit = torch.rand(drawn.shape[-1], device=drawn.device) < (self.probability if p is None else p)
        return torch.where(hit, drawn, neutral)

    def _move(self, images: Tensor) -> Tensor:
        """All geometric transforms, as one resampling."""
        inverse = self._inverse_motion(images)
        still = (inverse == torch.eye(3, device=images.device)).all(-1).all(-1)
        moved = resample(images, grid(inverse, images.shape[2], images.shape[3]))
        return torch.where(still[:, None, None, None], images, moved)

    def _inverse_motion(self, images: Tensor) -> Tensor:
        """Where an image's new pixels come from, in pixels about the centre: homogeneous matrices ``[B, 3, 3]``."""
        count, device = len(images), images.device
        side = torch.stack([torch.full((count,), float(length), device=device) for length in images.shape[:1:-1]])

        def uniform(*shape: int) -> Tensor:
            return 2 * torch.rand(*shape, count, device=device) - 1

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, count, device=device)

        turned = 1 - (1 - self.probability).sqrt()  # twice, so that a rotation before or after has probability p
        flip = self._some("x_flip", _signs(count, device), 1.0)
        quarters = self._some("rotation_90", torch.randint(4, (count,), device=device).float(), 0.0)
        pixels = self._some("integer_translation", (uniform(2) * side / 8).round(), 0.0)
        scale = self._some("scale", 2 ** (0.2 * normal()), 1.0)
        before = self._some("rotation", math.pi * uniform(), 0.0, turned)
        stretch = self._some("anisotropic_scale", 2 ** (0.2 * normal()), 1.0)
        after = self._some("rotation", math.pi * uniform(), 0.0, turned)
        fraction = self._some("fractional_translation", normal(2) * side / 8, 0.0)
        return reduce(
            compose,
            [
                scaling(flip, torch.ones_like(flip)),
                rotation(-math.pi / 2 * quarters),
                translation(-pixels),
                scaling(1 / scale, 1 / scale),
                rotation(-before),
                scaling(1 / stretch, stretch),
                rotation(-after),
                translation(-fraction),
            ],
        )

    def _recolour(self, images: Tensor) -> Tensor:
        """All transforms of colour, as one map: all but brightness scale or turn along and about the grey axis."""
        if images.shape[1] not in (1, 3):
            raise ValueError(f"transforms of colour know one or three channels, not {images.shape[1]}")
        count, device = len(images), images.device

        def normal() -> Tensor:
            return torch.randn(count, device=device)

        brightness = self._some("brightness", 0.2 * normal(), 0.0)
        contrast = self._some("contrast", 2 ** (0.5 * normal()), 1.0)
        flip = self._some("luma_flip", _signs(count, device), 1.0)
        hue = self._some("hue", math.pi * (2 * torch.rand(count, device=device) - 1), 0.0)
        chroma = contrast * self._some("saturation", 2 ** normal(), 1.0)

        luma, along, across, shift = (
            value.to(images.dtype)[:, None, None, None]
            for value in (contrast * flip, chroma * hue.cos(), chroma * hue.sin(), contrast * flip * brightness)
        )
        grey = images.mean(1, keepdim=True)
        return along * images + (luma - along) * grey + across * _about_grey(images) + shift


def _signs(count: int, device: torch.device) -> Tensor:
    return 1.0 - 2 * torch.randint(2, (count,), device=device)


def _about_grey(images: Tensor) -> Tensor:
    """Cross product of ``(1, 1, 1)/√3`` with every pixel: its colour, turned by 90 degrees about the grey axis."""
    return (images.roll(1, 1) - images.roll(-1, 1)) / math.sqrt(3)
