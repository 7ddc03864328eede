"""SinGAN (Rott Shaham, Dekel & Michaeli, *SinGAN: Learning a Generative Model from a Single Natural Image*, ICCV 2019).

A pyramid of small GANs on resized copies of one image, trained from the coarsest scale (0) to the finest. Each scale
is an ordinary two-player game above frozen coarser ones.

Differs from the paper: scales are counted from the coarsest, as its published code does. Differs from that code: z* is
drawn once (as in the paper) and every generator step makes its fake anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Annotated, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from ganrun.core.arguments import NonNegative, PositiveInt
from ganrun.core.errors import DataError, RunError
from ganrun.core.types import Batch, Grid, Move, Picture, Terms
from ganrun.games.base import Game, Stage, Stream
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective

Size = tuple[int, int]

SAMPLES_PER_ROW = 4  # of a picture: a row is real | reconstruction | samples


def resize(images: Tensor, size: Size) -> Tensor:
    """``[B, C, H, W]`` at another size ``(height, width)``: antialiased bicubic."""
    if tuple(images.shape[2:]) == size:
        return images
    return interpolate(images, size=size, mode="bicubic", antialias=True)


def scaled(size: Size, height: float, width: float) -> Size:
    """``size`` times a factor per axis, in whole pixels, at least 1."""
    return max(1, round(size[0] * height)), max(1, round(size[1] * width))


def pyramid_sizes(size: Size, min_size: int, max_size: int, scale_factor: float, exact_factor: bool) -> list[Size]:
    """Sizes of the scales, coarsest first; each is the next one times r.

    Args:
        size: height and width of the image.
        min_size: shorter side of the coarsest scale in pixels.
        max_size: longest side of the finest scale in pixels; larger images are reduced to it.
        scale_factor: factor aimed at between two scales, in (0, 1).
        exact_factor: whether r is ``scale_factor`` and the shorter side of the coarsest scale at least ``min_size``;
            else that side is exactly so long, and r between ``scale_factor`` and 1.

    Raises:
        DataError: the shorter side is below ``min_size`` once the longer one is within ``max_size``.
    """
    cap = min(1.0, max_size / max(size))
    shorter = min(size) * cap
    if shorter < min_size:
        raise DataError(
            f"the image of {size[0]}x{size[1]} pixels has {shorter:.0f} on its shorter side once the longer one is at "
            f"most model.max_size={max_size}, but SinGAN's coarsest scale needs model.min_size={min_size}. "
            "Use a larger or less elongated image, or raise model.max_size."
        )
    factors = math.log(min_size / shorter, scale_factor)
    finest = math.floor(factors + 1e-9) if exact_factor else math.ceil(factors - 1e-9)
    r = scale_factor if exact_factor else (min_size / shorter) ** (1 / max(finest, 1))
    return [scaled(size, cap * r ** (finest - i), cap * r ** (finest - i)) for i in range(finest + 1)]


class Scale(Game):
    """One scale of the pyramid: ``x_i = G_i(amplitude · z, up(x_{i-1}))``, judged patch by patch.

    Its state is self-contained: the coarser scales are used but not registered, and never trained here.

    Args:
        real: the image at this scale, ``[1, C, h, w]``.
        coarser: the trained scales below, coarsest first.
        generator: ``generator(noise, previous)`` -> image.
        discriminator: ``discriminator(image, condition)`` -> patch scores.
        objective: what both minimise; ``critic_steps`` discriminator moves per step.
        generator_steps: generator moves per step.
        noise_weight: noise amplitude per RMSE of the coarser reconstruction.
        reconstruction_weight: α of equation 4.
    """

    amplitude: Tensor
    below: Tensor
    index: Tensor
    real: Tensor
    z_star: Tensor

    def __init__(
        self,
        real: Tensor,
        coarser: Sequence[Scale],
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        generator_steps: int,
        noise_weight: float,
        reconstruction_weight: float,
    ) -> None:
        super().__init__()
        self.coarser = tuple(coarser)
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        objective.attach(discriminator, generator)
        self.generator_steps = generator_steps
        self.reconstruction_weight = reconstruction_weight
        if self.coarser:
            real = real.to(self.coarser[-1].device)
            below = resize(self.coarser[-1].reconstruct(), (real.shape[2], real.shape[3]))
            z_star = torch.zeros_like(real)
            amplitude = noise_weight * mse_loss(below, real).sqrt()
        else:
            below = torch.zeros_like(real)
            z_star = torch.randn_like(real[:, :1]).repeat(1, real.shape[1], 1, 1)
            amplitude = real.new_ones(())
        self.register_buffer("index", torch.tensor(float(len(self.coarser))), persistent=False)  # counted from 0
        self.register_buffer("real", real)
        self.register_buffer("below", below)  # up-sampled reconstruction of the next coarser scale
        self.register_buffer("z_star", z_star)
        self.register_buffer("amplitude", amplitude)

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.real.shape[2], self.real.shape[3]

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.discriminator], "generator": [self.generator]}

    def play(self, stream: Stream) -> Iterator[Move]:
        for _ in range(self.objective.critic_steps):
            yield {"discriminator": self.discriminator_terms()}
        for _ in range(self.generator_steps):
            yield {"generator": self.generator_terms()}

    def discriminator_terms(self) -> Terms:
        """What the discriminator minimises; the fake carries no graph."""
        with torch.no_grad():
            fake = self.refine(self.previous())
        comparison = self.compare(fake)
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return terms

    def generator_terms(self) -> Terms:
        """The adversarial terms of a fresh fake and ``α · ‖x_rec - x‖²`` (mean over pixels)."""
        comparison = self.compare(self.refine(self.previous()))
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms)
        error = mse_loss(self.generator(self.amplitude * self.z_star, self.below), self.real)
        self.statistics.report("scale/reconstruction_mse", error)
        self.statistics.report("scale/noise_amplitude", self.amplitude)
        self.statistics.report("scale/index", self.index)
        return terms | {"reconstruction": self.reconstruction_weight * error}

    def compare(self, fake: Tensor) -> Comparison:
        """The image and a fake before the discriminator, as the objective wants them seen."""
        return self.objective.compare(self.discriminator, self.real, fake, None, self.moment)

    def refine(self, previous: Tensor) -> Tensor:
        """``G(amplitude · z, previous)`` with fresh noise."""
        return self.generator(self.amplitude * self.noise(previous), previous)

    def noise(self, like: Tensor) -> Tensor:
        """``z ~ N(0, I)`` as large as ``like``: one channel for all at the coarsest scale."""
        return torch.randn_like(like) if self.coarser else torch.randn_like(like[:, :1]).expand_as(like)

    def previous(self) -> Tensor:
        """One sample of the coarser scales at this scale's size, ``[1, C, h, w]``; zeros at the coarsest."""
        return resize(draw(self.coarser, 1), self.size) if self.coarser else self.below

    @torch.no_grad()
    def reconstruct(self) -> Tensor:
        """``G(amplitude · z*, up(x_rec of the coarser scale))``, which is trained to be the image."""
        return self.generator(self.amplitude * self.z_star, self.below)


@torch.no_grad()
def draw(
    scales: Sequence[Scale],
    count: int,
    height: float = 1.0,
    width: float = 1.0,
    start: int = 0,
    below: Tensor | None = None,
) -> Tensor:
    """Random samples through ``scales[start:]``.

    Args:
        scales: coarsest first.
        count: number of samples.
        height: factor on the height at every scale.
        width: factor on the width at every scale.
        start: first scale that gets noise.
        below: what enters there, ``[1, C, h, w]``; ``None``: the reconstruction of the scales below ``start``.
    """
    images = (scales[start].below if below is None else below).expand(count, -1, -1, -1)
    for scale in scales[start:]:
        images = scale.refine(resize(images, scaled(scale.size, height, width)))
    return images


def wander(origin: Tensor, noise: Callable[[Tensor], Tensor], pull: float, inertia: float) -> Iterator[Tensor]:
    """A random walk around ``z* = origin``, from there on, without end (the paper's supplement).

    ``z_{t+1} = α z* + (1 - α) (z_t + β (z_t - z_{t-1}) + (1 - β) u_t)`` with ``u_t ~ N(0, I)``.

    Args:
        origin: z*.
        noise: ``noise(origin)`` -> u.
        pull: α, how strongly it is drawn back.
        inertia: β, how smooth it is.
    """
    before = z = origin
    while True:
        yield z
        step = inertia * (z - before) + (1 - inertia) * noise(origin)
        before, z = z, pull * origin + (1 - pull) * (z + step)


class SinGAN(Game):
    """A generative model of the patches of one image, at all scales.

    Args:
        generator: ``generator(width=...)`` makes the generator of one scale.
        discriminator: ``discriminator(width=...)`` makes the discriminator of one scale.
        objective: what both minimise at every scale.
        width: channels of the networks at the coarsest scale.
        max_width: channels at most.
        scales_per_width: scales after which the width doubles.
        min_size: shorter side of the coarsest scale in pixels.
        max_size: longest side of the finest scale in pixels.
        scale_factor: size of a scale relative to the next finer one, approximately.
        exact_factor: whether it holds exactly, and ``min_size`` approximately.
        generator_steps: generator moves per step, after ``objective.critic_steps`` discriminator moves.
        noise_weight: noise amplitude of a scale per RMSE between the image and the coarser reconstruction.
        reconstruction_weight: α of equation 4.
        image: the image, ``[1, C, H, W]`` in [-1, 1].

    Raises:
        DataError: the image is too small or too elongated.
    """

    requires = ("images", "single_image")
    provides = ("samples",)

    image: Tensor

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        objective: Objective,
        width: PositiveInt,
        max_width: PositiveInt,
        scales_per_width: PositiveInt,
        min_size: PositiveInt,
        max_size: PositiveInt,
        scale_factor: Annotated[float, "> 0", "< 1"],
        exact_factor: bool,
        generator_steps: PositiveInt,
        noise_weight: NonNegative,
        reconstruction_weight: NonNegative,
        image: Tensor,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.generator_steps = generator_steps
        self.noise_weight = noise_weight
        self.reconstruction_weight = reconstruction_weight
        self.sizes = pyramid_sizes((image.shape[2], image.shape[3]), min_size, max_size, scale_factor, exact_factor)
        self.widths = [min(width * 2 ** (index // scales_per_width), max_width) for index in range(len(self.sizes))]
        self.register_buffer("image", resize(image, self.sizes[-1]).clamp(-1, 1), persistent=False)
        self.scales = nn.ModuleList()

    def stages(self) -> Iterator[Stage]:
        self.scales = nn.ModuleList()
        for index, (height, width) in enumerate(self.sizes):
            scale = self.next_scale()
            self.scales.append(scale)
            yield Stage(f"scale {index}/{len(self.sizes) - 1} ({height}x{width})", scale)
            scale.requires_grad_(False).eval()

    def next_scale(self) -> Scale:
        """The scale above the trained ones; networks of the same width start from theirs."""
        index, coarser = len(self.scales), self.trained
        scale = Scale(
            real=resize(self.image, self.sizes[index]).clamp(-1, 1),
            coarser=coarser,
            generator=self.generator(width=self.widths[index]),
            discriminator=self.discriminator(width=self.widths[index]),
            objective=deepcopy(self.objective),  # penalties may keep state, which belongs to one scale
            generator_steps=self.generator_steps,
            noise_weight=self.noise_weight,
            reconstruction_weight=self.reconstruction_weight,
        )
        if coarser and self.widths[index] == self.widths[index - 1]:
            scale.generator.load_state_dict(coarser[-1].generator.state_dict())
            scale.discriminator.load_state_dict(coarser[-1].discriminator.state_dict())
        return scale

    @property
    def trained(self) -> tuple[Scale, ...]:
        """The scales there are so far, coarsest first."""
        return cast("tuple[Scale, ...]", tuple(self.scales))

    def sample(
        self,
        count: int,
        condition: Tensor | None = None,
        height: float = 1.0,
        width: float = 1.0,
        start_scale: int = 0,
        inject: Tensor | None = None,
        mask: Tensor | None = None,
        upscale: float | None = None,
    ) -> Tensor:
        """Draw ``count`` samples of any size, at the finest scale there is.

        Args:
            count: number of samples.
            condition: unused.
            height: height relative to the image's.
            width: width relative to the image's.
            start_scale: first scale that gets noise; from 1 on, samples keep the layout of the image.
            inject: an image ``[1, C, h, w]`` that enters below ``start_scale``, whose layout samples then keep.
            mask: where the samples of an injected image show, ``[1, 1, h, w]`` in [0, 1]; elsewhere the image does.
            upscale: enlarge the image by this factor instead of drawing samples of it (see :meth:`enlarge`).

        Raises:
            RunError: a factor is not positive, there is no such scale, or options do not go together.
        """
        if min(height, width) <= 0:
            raise RunError(f"height={height} and width={width} are factors of the image's size. Give positive numbers.")
        self._check_scale(start_scale)
        if upscale is not None:
            if inject is not None or mask is not None or (height, width, start_scale) != (1, 1, 0):
                raise RunError("upscale enlarges the image as it is. Leave the other options of SinGAN out.")
            return self.enlarge(count, upscale)
        if mask is not None and (inject is None or (height, width) != (1, 1)):
            raise RunError(
                "mask keeps the rest of the image around an injected one. Give inject, and no height or width."
            )
        if inject is None:
            return draw(self.trained, count, height, width, start_scale).clamp(-1, 1)
        if start_scale == 0:
            raise RunError(f"inject enters below a start_scale of 1 to {len(self.scales) - 1}. Give one.")
        below = resize(inject.to(self.device), scaled(self.trained[start_scale - 1].size, height, width))
        samples = draw(self.trained, count, height, width, start_scale, below).clamp(-1, 1)
        return samples if mask is None else self._blend(samples, mask)

    def _check_scale(self, start_scale: int) -> None:
        if not 0 <= start_scale < len(self.scales):
            raise RunError(f"There is no start_scale={start_scale}. The scales are 0 to {len(self.scales) - 1}.")

    def _blend(self, samples: Tensor, mask: Tensor) -> Tensor:
        """``samples · mask + x · (1 - mask)``."""
        finest = self.trained[-1]
        shown = interpolate(mask.to(self.device), size=finest.size, mode="bilinear", antialias=True)
        return samples * shown + finest.real * (1 - shown)

    @property
    def factor(self) -> float:
        """r: size of a scale relative to the next finer one.

        Raises:
            RunError: there is one scale only.
        """
        if len(self.scales) < 2:
            raise RunError("This pyramid has one scale, and no generator that was trained to add detail. Train more.")
        coarse, fine = (scale.size for scale in self.trained[-2:])
        return math.sqrt(coarse[0] * coarse[1] / (fine[0] * fine[1]))

    def passes(self, upscale: float) -> int:
        """k: how many scales above the finest make it ``upscale`` times as large, ``r^-k`` being nearest to that."""
        return max(1, round(math.log(upscale) / -math.log(self.factor)))

    @torch.no_grad()
    def enlarge(self, count: int, upscale: float) -> Tensor:
        """Super-resolution: ``x_i = G(amplitude · z, up(x_{i-1}))``, k times from the image on, by ``upscale^(1/k)``.

        The generator is that of the finest scale. Made for pyramids whose factor is ``upscale^(-1/k)``.

        Args:
            count: number of samples.
            upscale: factor on height and width, above 1.

        Raises:
            RunError: the factor is not above 1, or there is one scale only.
        """
        if upscale <= 1:
            raise RunError(f"upscale={upscale} does not enlarge. Give a factor above 1.")
        finest, passes = self.trained[-1], self.passes(upscale)
        images = finest.real.expand(count, -1, -1, -1)
        for number in range(1, passes + 1):
            factor = upscale ** (number / passes)
            images = finest.refine(resize(images, scaled(finest.size, factor, factor)))
        return images.clamp(-1, 1)

    @torch.no_grad()
    def animate(self, frames: int, start_scale: int, pull: float, inertia: float) -> Tensor:
        """A clip ``[frames, C, H, W]`` that begins with the reconstruction: all noise walks around z*.

        Args:
            frames: how many.
            start_scale: first scale whose noise walks; the scales below stay as in the reconstruction.
            pull: α of :func:`wander`.
            inertia: β of :func:`wander`.

        Raises:
            RunError: there is no such scale.
        """
        self._check_scale(start_scale)
        moving = self.trained[start_scale:]
        walks = [wander(scale.z_star, scale.noise, pull, inertia) for scale in moving]
        clip = []
        for _ in range(frames):
            image = moving[0].below
            for scale, noise in zip(moving, walks, strict=True):
                image = scale.generator(scale.amplitude * next(noise), resize(image, scale.size))
            clip.append(image)
        return torch.cat(clip).clamp(-1, 1)

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        shown = min(count, SAMPLES_PER_ROW)
        rows = []
        for index, scale in enumerate(self.trained):
            row = torch.cat([scale.real, scale.reconstruct(), draw(self.trained[: index + 1], shown)])
            rows.append(interpolate(row, size=self.trained[-1].size, mode="nearest-exact"))
        return {
            "scales": Grid(torch.cat(rows).clamp(-1, 1), columns=2 + shown),
            "wide": Grid(self.sample(shown, width=1.5), columns=2),
            "tall": Grid(self.sample(shown, height=1.5), columns=shown),
        }
