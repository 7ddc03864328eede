"""LAPGAN (Denton et al., *Deep Generative Image Models using a Laplacian Pyramid of ...*, NeurIPS 2015, 1506.05751).

An image is a small one and, for every doubling, the residual that the doubled one lacks. A plain GAN makes the small
one, conditional GANs make the residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import Batch, Grid, Moment, Move, Picture, Terms
from ganrun.games.adversarial import AdversarialGame, Latent, LatentGame
from ganrun.games.base import Stream
from ganrun.losses.objective import Objective

Storey = tuple[Tensor, Tensor | None]
"""An image ``I_k`` and the coarser one at its size, ``l_k``; the coarsest has none below."""

ROWS = 4  # of a picture, for real images and for generated ones each
GAIN = 4  # by which residuals are amplified there


def resize(images: Tensor, size: int) -> Tensor:
    """The paper's d and u: ``[B, C, H, W]`` -> ``[B, C, size, size]`` by triangles as wide as the coarser pixels.

    To half the side that is a blur by [1, 3, 3, 1] / 8 and every second pixel, to the double a smoothing by
    [1, 3, 3, 1] / 4 of pixels with zeros between. Other ratios, as in 8 -> 14 -> 28, go as well.
    """
    return interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def pyramid(images: Tensor, sizes: Sequence[int]) -> list[Storey]:
    """``I_k`` and ``l_k = u(I_{k+1})`` of every level, coarsest first; ``h_k = I_k - l_k`` is the residual.

    ``I_k = l_k + h_k`` gives the images back exactly, whatever d and u are.

    Args:
        images: ``[B, C, size, size]``.
        sizes: of the levels in pixels, coarsest first; the last is that of ``images``.
    """
    levels = [images]
    for size in sizes[-2::-1]:
        levels.append(resize(levels[-1], size))
    levels.reverse()
    blurred = [resize(image, size) for image, size in zip(levels, sizes[1:], strict=False)]
    return list(zip(levels, [None, *blurred], strict=True))


def pyramid_sizes(size: int, levels: int | Sequence[int]) -> list[int]:
    """Sizes of the levels, coarsest first.

    Args:
        size: of the images in pixels.
        levels: how many, each half the size of the next; or their sizes.

    Raises:
        ValueError: ``size`` cannot be halved so often, or the sizes do not rise to ``size``.
    """
    if isinstance(levels, int):
        factors = [2**k for k in reversed(range(levels))]
        if size % factors[0]:
            listed = ",".join(str(-(-size // factor)) for factor in factors)
            raise ValueError(
                f"LAPGAN with levels={levels} halves the images {levels - 1} times, and {size} pixels are not "
                f"divisible by {factors[0]}. Use fewer levels, or list their sizes: model.levels=[{listed}]"
            )
        return [size // factor for factor in factors]
    sizes = list(levels)
    if not sizes or sizes[-1] != size or sizes != sorted(set(sizes)):
        raise ValueError(f"levels={sizes} must rise and end at the size of the images, {size} pixels")
    return sizes


class Level(AdversarialGame):
    """One level: an adversarial game of its own, on the real images and blurred images of its size.

    The domains of its batches are ``I_k`` and, but at the coarsest level, ``l_k``; fakes are ``l_k + G_k(z, l_k)``.
    D_k(h, l) of the paper adds h and l before its first layer, so it is a function of the image h + l, and that is
    what it is handed here. Hence any discriminator of images serves at any level; the i-th real and the i-th fake
    share l_k; penalties take gradients with respect to h with l fixed, for that is the one with respect to h + l; and
    augmentations treat h and l alike.

    Args:
        size: side of the images in pixels.
        generator: ``generator(z, condition)`` -> images at the coarsest level, ``generator(z, condition, blurred)`` ->
            residuals at finer ones.
        discriminator: ``discriminator(images, condition)`` -> scores.
        latent: distribution of z.
        objective: what both minimise.
        conditional: whether class labels are handed to both networks.
        classes: classes of the data; used when ``conditional``.
    """

    def __init__(
        self,
        size: int,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        objective: Objective,
        conditional: bool,
        classes: int,
    ) -> None:
        super().__init__(generator, discriminator, latent, objective, conditional, classes)
        self.size = size

    def discriminator_terms(self, batch: Batch, z: Tensor, fake: Tensor) -> Terms:
        comparison = self.compare(batch.real, fake, self.condition_of(batch))
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms, f"_{self.size}")
        for name, images in (("real", batch.real), ("fake", fake)):
            residual = images - batch.domains[1] if len(batch.domains) > 1 else images
            self.statistics.report(f"residual/std_{name}_{self.size}", residual.std())
        return self.named(terms)

    def generator_terms(self, batch: Batch) -> Terms:
        _, fake = self.draw(batch)
        comparison = self.compare(batch.real, fake, self.condition_of(batch))
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms, f"_{self.size}")
        return self.named(terms)

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Fresh latents, and of each an image above its l_k of ``batch``."""
        z = self.latent(len(batch), self.device)
        return z, self.image(z, self.condition_of(batch), *batch.domains[1:])

    def image(self, z: Tensor, labels: Tensor | None, blurred: Tensor | None = None) -> Tensor:
        """The image of a latent, with ``blurred`` ``[B, C, size, size]`` below it at finer levels."""
        return self.generator(z, labels) if blurred is None else blurred + self.generator(z, labels, blurred)

    def named(self, terms: Terms) -> Terms:
        """The terms with the level's size in their names."""
        return {f"{name}_{self.size}": term for name, term in terms.items()}


class LAPGAN(LatentGame):
    """A pyramid of GANs that are trained side by side and sampled from the coarsest to the finest.

    In training every level stands on real l_k, so no level waits for another. They could be trained one after the
    other, as the paper does; in one loop there are samples, scores and pictures of the whole from the first step on,
    all levels see the same images, and the run can be stopped and extended like any other.

    The latent of a sample holds those of all levels: a vector for the coarsest, and a plane of noise for every other.

    Differs from the paper: images are in [-1, 1] instead of normalised per channel; all levels learn for the same
    number of steps, where the paper chose the best of each by likelihood.

    Args:
        generator: ``generator(size=...)`` makes the generator of a finer level, which returns residuals.
        discriminator: ``discriminator(size=...)`` makes its discriminator.
        generator_coarsest: ``generator_coarsest(size=...)`` makes that of the coarsest level.
        discriminator_coarsest: ``discriminator_coarsest(size=...)`` makes its discriminator.
        latent: ``latent(size=...)`` makes the distribution of latents with that many dimensions.
        latent_size: dimensions of the latent of the coarsest level; a finer one has ``size²``.
        levels: number of levels, each half the size of the next; or their sizes in pixels, coarsest first.
        objective: what the players of every level minimise; each has a copy of its own.
        objectives: size of a level -> another objective there.
        conditional: whether class labels are handed to all networks.
        size: side of the images in pixels.
        classes: classes of the data; used when ``conditional``.

    Raises:
        ValueError: ``levels`` do not fit ``size``; ``objectives`` name a size that is none of them.
    """

    requires = ("images",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        generator_coarsest: Callable[..., nn.Module],
        discriminator_coarsest: Callable[..., nn.Module],
        latent: Callable[..., Latent],
        latent_size: PositiveInt,
        levels: PositiveInt | Sequence[PositiveInt],
        objective: Objective,
        objectives: Mapping[str | int, Objective],
        conditional: bool,
        size: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.sizes = pyramid_sizes(size, levels)
        own = {str(name): other for name, other in objectives.items()}  # YAML reads a size as a number
        if unknown := sorted(own.keys() - set(map(str, self.sizes))):
            raise ValueError(f"objectives name {', '.join(unknown)}, and the levels are {self.sizes}")
        self.latent_sizes = [latent_size, *(size**2 for size in self.sizes[1:])]
        self.latent = latent(size=sum(self.latent_sizes))
        self.classes = classes if conditional else 0
        pairs = [(generator_coarsest, discriminator_coarsest)] + [(generator, discriminator)] * len(self.sizes[1:])
        self.levels = nn.ModuleList(
            Level(
                size,
                make_generator(size=size),
                make_discriminator(size=size),
                latent(size=dimensions),
                deepcopy(own.get(str(size), objective)),  # penalties may keep state, which belongs to one level
                conditional,
                classes,
            )
            for size, dimensions, (make_generator, make_discriminator) in zip(
                self.sizes, self.latent_sizes, pairs, strict=True
            )
        )
        for level in self.storeys:
            level.statistics = self.statistics

    @property
    def storeys(self) -> tuple[Level, ...]:
        """The levels, coarsest first."""
        return cast("tuple[Level, ...]", tuple(self.levels))

    def begin_step(self, moment: Moment) -> None:
        super().begin_step(moment)
        for level in self.storeys:
            level.begin_step(moment)

    def players(self) -> dict[str, list[nn.Module]]:
        return {
            "discriminator": [level.discriminator for level in self.storeys],
            "generator": [level.generator for level in self.storeys],
        }

    def play(self, stream: Stream) -> Iterator[Move]:
        """All discriminators at once, as often as the objective of each wants it, then all generators."""
        for turn in range(max(level.objective.critic_steps for level in self.storeys)):
            batches = self.batches(next(stream))
            terms: Terms = {}
            for level, batch in zip(self.storeys, batches, strict=True):
                if turn < level.objective.critic_steps:
                    with torch.no_grad():
                        z, fake = level.draw(batch)
                    terms |= level.discriminator_terms(batch, z, fake)
            yield {"discriminator": terms}
        terms = {}
        for level, batch in zip(self.storeys, batches, strict=True):
            terms |= level.generator_terms(batch)
        yield {"generator": terms}

    def batches(self, batch: Batch) -> list[Batch]:
        """What every level sees of ``batch``."""
        storeys = pyramid(batch.real, self.sizes)
        return [Batch((image,) if blurred is None else (image, blurred), batch.condition) for image, blurred in storeys]

    @torch.no_grad()
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.build(z, condition)[-1][0].clamp(-1, 1)

    @torch.no_grad()
    def build(self, z: Tensor, condition: Tensor | None = None) -> list[Storey]:
        """The pyramids of latents ``[N, size]``, coarsest first: ``I_k = u(I_{k+1}) + G_k(z_k, u(I_{k+1}))``."""
        labels = self.in_turn(len(z)) if condition is None else condition
        storeys: list[Storey] = []
        for level, part in zip(self.storeys, z.split(self.latent_sizes, dim=1), strict=True):
            blurred = resize(storeys[-1][0], level.size) if storeys else None
            storeys.append((level.image(part, labels, blurred), blurred))
        return storeys

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        pictures = super().pictures(examples, count)
        shown = min(ROWS, len(examples))
        real = pyramid(examples.real[:shown], self.sizes)
        fake = self.build(self.latent(shown, self.device))
        images = torch.cat([unfolded(real, self.sizes[-1]), unfolded(fake, self.sizes[-1])])
        words = [str(self.sizes[0])]
        for size in self.sizes[1:]:
            words += [f"up to {size}", f"residual x{GAIN}", str(size)]
        rows = ("real",) * shown + ("generated",) * shown
        pictures["pyramid"] = Grid(images.flatten(0, 1), len(words), rows, tuple(words) * len(rows))
        return pictures


def unfolded(storeys: Sequence[Storey], size: int) -> Tensor:
    """Pyramids as rows of images of one size, ``[N, columns, C, size, size]``.

    The coarsest image, then for every finer level l_k, h_k amplified, and their sum.
    """
    columns = []
    for image, blurred in storeys:
        columns += [image] if blurred is None else [blurred, GAIN * (image - blurred), image]
    shown = [interpolate(column, size=(size, size), mode="nearest-exact") for column in columns]
    return torch.stack(shown, dim=1).clamp(-1, 1)
