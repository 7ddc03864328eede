"""StackGAN (Zhang et al., *StackGAN: Text to Photo-realistic Image Synthesis*, ICCV 2017, arXiv 1612.03242).

Images from texts in two stages: a generator of small images, the sketches, and then, above that frozen one, a refiner
that makes large ones of them and looks at the text once more. Each stage is a two-player game whose discriminator also
rejects real images with a wrong text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize
from torch.nn.functional import interpolate as resize

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.types import Batch, Grid, Move, Picture, Terms
from ganrun.games.base import Game, Stage, Stream
from ganrun.latents.posterior import Posterior
from ganrun.losses.base import AdversarialLoss, Comparison
from ganrun.losses.matching_aware import MatchingAware
from ganrun.losses.objective import Objective
from ganrun.networks.layers.sizes import doublings

Latent = Callable[[int, torch.device], Tensor]

TEXTS = 8  # in a picture at most
PER_TEXT = 3  # latents of every text in a picture of the stages
WAY = 8  # images on a way from one text to another


class Drawing(Game):
    """One stage: a generator of images from texts against a discriminator of both.

    The stage below is used but not registered, and never trained here.

    Args:
        generator: ``generator(drawn, condition)`` -> images, where ``drawn`` are latents, or the images of the stage
            below; ``generator.augment(texts)`` -> mean and log variance of the condition, side by side.
        discriminator: ``discriminator(images, texts)`` -> :class:`~ganrun.core.types.DiscriminatorOutput`.
        latent: ``latent(count, device)`` -> ``[count, size]``.
        objective: what both minimise.
        augmentation_weight: of the conditions' divergence from N(0, I), per dimension.
        reduction: side of the data's images relative to the stage's.
        below: the trained stage below; ``None``: this is the first.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: Latent,
        objective: Objective,
        augmentation_weight: float,
        reduction: int,
        below: Drawing | None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.latent = latent
        self.objective = objective
        self.augmentation_weight = augmentation_weight
        self.reduction = reduction
        self.below = () if below is None else (below,)
        objective.attach(discriminator, generator)

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.discriminator], "generator": [self.generator]}

    def play(self, stream: Stream) -> Iterator[Move]:
        for _ in range(self.objective.critic_steps):
            batch = next(stream)
            yield {"discriminator": self.discriminator_terms(batch)}
        yield {"generator": self.generator_terms(batch)}

    def discriminator_terms(self, batch: Batch) -> Terms:
        """What the discriminator minimises on one batch; the fakes carry no graph."""
        with torch.no_grad():
            fake, _ = self.draw(*self.inputs(batch))
        comparison = self.compare(batch, fake)
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return terms

    def generator_terms(self, batch: Batch) -> Terms:
        """The adversarial terms of images of the batch's texts, and ``λ KL(N(μ, σ²) ‖ N(0, I))`` (equation 4)."""
        fake, posterior = self.draw(*self.inputs(batch))
        comparison = self.compare(batch, fake)
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms)
        divergence = posterior.divergence().mean() / posterior.mean.shape[1]
        self.statistics.report("augmentation/divergence", divergence)
        return terms | {"augmentation": self.augmentation_weight * divergence}

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The batch's texts and fresh latents."""
        return texts_of(batch), self.latent(len(batch), self.device)

    def compare(self, batch: Batch, fake: Tensor) -> Comparison:
        """The batch's images at the stage's size and fakes of the same texts, as the objective wants them seen."""
        real = avg_pool2d(batch.real, self.reduction) if self.reduction > 1 else batch.real
        return self.objective.compare(self.discriminator, real, fake, batch.condition, self.moment)

    def draw(self, texts: Tensor, z: Tensor, noisy: bool = True) -> tuple[Tensor, Posterior]:
        """Images of texts, and the distribution of the condition that they were drawn with.

        Args:
            texts: vectors ``[B, D]``.
            z: latents ``[B, size]``.
            noisy: whether conditions are drawn, here and below; otherwise they are the means.
        """
        drawn = z
        for stage in self.below:
            with torch.no_grad():
                drawn, _ = stage.draw(texts, z, noisy)
        posterior = Posterior.read(self.generator.augment(texts))  # type: ignore[operator]
        return self.generator(drawn, posterior.draw() if noisy else posterior.mean), posterior


class StackGAN(Game):
    """Images from captions: sketches first, then images ``reduction`` times as large.

    Until there is a second stage, samples are sketches, enlarged to the size of the data.

    Differs from the published code: frozen sketches are drawn with the running statistics of batch norm.

    Args:
        generator: ``generator(size=...)`` makes the first stage's.
        refiner: ``refiner(sketch_size=...)`` makes the second stage's.
        discriminator: ``discriminator(size=..., narrowings=..., unconditional=...)`` makes that of either stage.
        latent: ``latent(count, device)`` -> ``[count, size]``; the second stage has none of its own.
        objective: what both players minimise in either stage.
        matching: ``matching(loss=...)`` makes a loss matching-aware; left aside where the objective's is already.
        augmentation_weight: λ of equation 4, of the divergence averaged over texts and dimensions.
        reduction: side of the images relative to the sketches', a power of 2.
        size: side of the images in pixels.

    Raises:
        ValueError: ``reduction`` is not a power of 2 above 1, ``size / reduction`` is not 4·2^k, or the networks cannot
            be made.
    """

    requires = ("images", "captions")
    provides = ("answers",)
    needs = "texts"

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        refiner: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        latent: Latent,
        objective: Objective,
        matching: Callable[..., AdversarialLoss],
        augmentation_weight: NonNegative,
        reduction: int,
        size: int,
    ) -> None:
        super().__init__()
        if reduction < 2 or reduction.bit_count() > 1:
            raise ValueError(f"reduction is a power of 2, from 2 on; got {reduction}")
        if size % reduction:
            raise ValueError(
                f"images of {size} pixels cannot be reduced {reduction} times: change reduction or the size"
            )
        doublings(size // reduction, "StackGAN's stage I")
        if not isinstance(objective.adversarial, MatchingAware):
            objective.adversarial = matching(loss=objective.adversarial)
        self.generator = generator
        self.refiner = refiner
        self.discriminator = discriminator
        self.latent = latent
        self.objective = objective
        self.augmentation_weight = augmentation_weight
        self.reduction = reduction
        self.size = size
        self.drawings = nn.ModuleList()
        with torch.device("meta"):  # what cannot be made is refused now, and not after the first stage
            self.networks(0)
            self.networks(1)

    def networks(self, stage: int) -> dict[str, nn.Module]:
        """Generator and discriminator of the stage 0 or 1."""
        sketch_size = self.size // self.reduction
        if stage == 0:
            discriminator = self.discriminator(size=sketch_size, narrowings=0, unconditional=False)
            return {"generator": self.generator(size=sketch_size), "discriminator": discriminator}
        narrowings = self.reduction.bit_length() - 1  # to the channels of the first stage
        discriminator = self.discriminator(size=self.size, narrowings=narrowings, unconditional=True)
        return {"generator": self.refiner(sketch_size=sketch_size), "discriminator": discriminator}

    def stages(self) -> Iterator[Stage]:
        sketch_size = self.size // self.reduction
        sketching = self.drawing(**self.networks(0), reduction=self.reduction, below=None)
        self.drawings = nn.ModuleList([sketching])
        yield Stage(f"stage I ({sketch_size}x{sketch_size})", sketching)
        sketching.requires_grad_(False).eval()
        refining = self.drawing(**self.networks(1), reduction=1, below=sketching)
        self.drawings.append(refining)
        yield Stage(f"stage II ({self.size}x{self.size})", refining)

    @property
    def drawing(self) -> Callable[..., Drawing]:
        """Makes a stage; penalties may keep state, which belongs to one stage."""
        return partial(
            Drawing,
            latent=self.latent,
            objective=deepcopy(self.objective),
            augmentation_weight=self.augmentation_weight,
        )

    @property
    def trained(self) -> tuple[Drawing, ...]:
        """The stages there are so far."""
        return cast("tuple[Drawing, ...]", tuple(self.drawings))

    @torch.no_grad()
    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        """Draw ``count`` images at the size of the data: enlarged sketches while there is only the first stage.

        Args:
            count: number of samples.
            condition: vectors of texts, ``[count, D]``.

        Raises:
            RunError: no texts are given.
        """
        if condition is None:
            raise RunError("StackGAN draws texts, and was given none.")
        images, _ = self.trained[-1].draw(condition, self.latent(count, self.device))
        return self.enlarged(images)

    def enlarged(self, images: Tensor) -> Tensor:
        """Images of either stage at the size of the data."""
        return resize(images, size=(self.size, self.size), mode="bilinear")

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        rows = min(len(examples), TEXTS, max(1, count // (1 + PER_TEXT * len(self.drawings))))
        pictures: dict[str, Picture] = {"generated": self.by_text(examples, rows)}
        if ways := min(max(1, count // WAY), TEXTS // 2, len(examples) // 2):
            pictures["interpolation"] = self.between_texts(examples, ways)
        return pictures

    def by_text(self, examples: Batch, rows: int) -> Grid:
        """A text per row: its image, sketches of some latents, and what the second stage makes of the same latents."""
        texts = texts_of(examples)[:rows].repeat_interleave(PER_TEXT, 0)
        z = self.latent(len(texts), self.device)
        drawn = [self.enlarged(stage.draw(texts, z, noisy=False)[0]) for stage in self.trained]
        shown = torch.cat([examples.real[:rows, None], *(images.unflatten(0, (rows, -1)) for images in drawn)], dim=1)
        return Grid(shown.flatten(0, 1), shown.shape[1], captions=examples.texts[:rows])

    def between_texts(self, examples: Batch, rows: int) -> Grid:
        """A way per row from one text to another with one latent."""
        ends, names = texts_of(examples), examples.texts
        images = self.between(ends[: 2 * rows : 2], ends[1 : 2 * rows : 2], WAY)
        return Grid(images, WAY, captions=tuple(f"{names[2 * k]} > {names[2 * k + 1]}" for k in range(rows)))

    def between(self, first: Tensor, last: Tensor, columns: int) -> Tensor:
        """Images on the ways between texts, ``[ways · columns, C, H, W]``, with a latent per way and mean conditions.

        Args:
            first: vectors ``[ways, D]``.
            last: likewise.
            columns: images on a way, its ends included.
        """
        share = torch.linspace(0, 1, columns, device=self.device)[None, :, None]
        texts = normalize(torch.lerp(first[:, None], last[:, None], share).flatten(0, 1))
        z = self.latent(len(first), self.device).repeat_interleave(columns, 0)
        return self.enlarged(self.trained[-1].draw(texts, z, noisy=False)[0])


def texts_of(batch: Batch) -> Tensor:
    """The texts of a batch."""
    assert batch.condition is not None
    return batch.condition
