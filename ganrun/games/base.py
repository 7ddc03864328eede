"""The contract between a game and the trainer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ganrun.core.statistics import Statistics
from ganrun.core.types import START, Batch, Grid, LatentSpace, Moment, Move, Picture, Scatter, Terms
from ganrun.losses import diagnostics
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective

Stream = Iterator[Batch]


@dataclass(frozen=True)
class Stage:
    """Play ``game`` until it has had its steps.

    Args:
        name: shown in the log.
        game: the game of this stage; only its parameters are trained.
    """

    name: str
    game: Game


@dataclass(frozen=True)
class Arrangement:
    """Which samples make a picture, and how they stand in it.

    Args:
        count: of samples.
        condition: their labels ``[count]``; ``None``: they have none.
        columns: samples per row.
        rows: what is written before each row.
    """

    count: int
    condition: Tensor | None
    columns: int
    rows: tuple[str, ...] = ()


class Sides(NamedTuple):
    """Heights and widths that networks take.

    Args:
        multiple: they are divisible by this.
        least: and not smaller.
    """

    multiple: int
    least: int


def beneath(samples: Tensor, reconstructed: Tensor, columns: int) -> Picture:
    """Images in rows, each row above its reconstructions; points together. What does not fill a row is left out."""
    if samples.ndim == 2:
        return Scatter(reconstructed, samples)
    columns = max(1, min(columns, len(samples)))
    shown = len(samples) // columns * columns
    rows = [part[:shown].unflatten(0, (-1, columns)) for part in (samples, reconstructed)]
    return Grid(torch.stack(rows, dim=1).flatten(0, 2), columns)


class Game(nn.Module):
    """Networks, and who minimises what, step by step.

    ``play`` yields moves; **weights change only at a yield**. It must not yield inside a context manager.
    """

    requires: tuple[str, ...] = ()
    """Traits of the data without which the game cannot be played (see :attr:`ganrun.core.facts.Facts.provides`)."""

    provides: tuple[str, ...] = ("samples",)
    """``"samples"``: :meth:`sample` draws from a model of the data, so that FID and the like make sense;
    ``"answers"``: it does so for conditions that are taken from the data (see :attr:`needs`)."""

    needs: Literal["images", "maps", "texts"] | None = None
    """Kind of the condition that :meth:`sample` must be given, one for every sample: images to be translated, label
    maps, or vectors of texts; ``None``: none, or class labels, through which it goes by itself."""

    directions: tuple[str, ...] = ()
    """Names of the two ways between unpaired domains, which :meth:`translate` goes; the first is that of
    :meth:`sample`."""

    alone: tuple[str, ...] = ()
    """Settings of the model that suffice to draw samples, so that these parts can be exported; none: nothing less than
    the run does."""

    classes: int = 0
    """Number of classes whose labels :meth:`sample` takes as its condition; 0: it takes none."""

    class_names: tuple[str, ...] = ()
    """Of the data's classes, where they are known."""

    def __init__(self) -> None:
        super().__init__()
        self.statistics = Statistics()
        self.moment = START

    def begin_step(self, moment: Moment) -> None:
        """Told by the trainer before every step."""
        self.moment = moment

    def players(self) -> dict[str, list[nn.Module]]:
        """Player -> modules whose parameters it owns. Every trainable parameter has exactly one owner."""
        raise NotImplementedError

    def play(self, stream: Stream) -> Iterator[Move]:
        """One step: every player has had its turn when the generator returns."""
        raise NotImplementedError

    def stages(self) -> Iterator[Stage]:
        """The stages in order. A later stage is made only after the earlier one has been trained."""
        yield Stage("training", self)

    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        """Draw ``count`` samples, ``[count, *shape]``, with torch's current generator and without gradients.

        A game of classes that is given no ``condition`` goes through them in turn; others must be given what they
        :attr:`need <needs>`.
        """
        raise NotImplementedError

    def translate(self, images: Tensor, direction: str) -> Tensor:
        """Turn ``images`` ``[B, C, H, W]`` of one domain into the other's, without gradients.

        With torch's current generator, where translations are random.
        """
        raise NotImplementedError

    def sides(self) -> Sides | None:
        """Sides of images, or label maps, that can be turned into others; ``None``: only those of the data.

        They are what all networks of the generator say by attributes ``multiple`` and ``least``.
        """
        networks: list[Any] = self.players()["generator"]
        found = [Sides(network.multiple, network.least) for network in networks if hasattr(network, "multiple")]
        if not found or len(found) < len(networks):
            return None
        return Sides(math.lcm(*(each.multiple for each in found)), max(each.least for each in found))

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        """Pictures worth looking at, by name.

        Args:
            examples: fixed real samples.
            count: how many samples a picture should show.
        """
        arranged = self.arrange(count)
        samples = self.sample(arranged.count, arranged.condition)
        real, condition = examples.real, examples.condition
        generated = Scatter(samples, real) if samples.ndim == 2 else Grid(samples, arranged.columns, arranged.rows)
        pictures: dict[str, Picture] = {"generated": generated}
        if (reconstructed := self.reconstructions(real, condition)) is not None:
            pictures["reconstructions"] = beneath(real, reconstructed, round(count**0.5))
        return pictures

    def reconstructions(self, samples: Tensor, condition: Tensor | None = None) -> Tensor | None:
        """What comes back of samples that were read into a latent or a code, without gradients.

        Args:
            samples: ``[B, *shape]``.
            condition: their class labels; a game that is not conditional leaves them aside.

        Returns:
            ``[B, *shape]``; ``None``: nothing here reads samples.
        """
        return None

    def latent_space(self) -> LatentSpace | None:
        """The latents, if one can walk through them or if they have codes."""
        return None

    def arrange(self, count: int) -> Arrangement:
        """How up to ``count`` samples stand in a picture: in a square, or one class per row.

        Of classes that are too many for two samples each, some are chosen, evenly.
        """
        square = max(1, round(count**0.5))
        if not self.classes:
            return Arrangement(count, None, square)
        rows = self.classes if 2 * self.classes <= count else min(square, self.classes)
        shown = torch.arange(rows, device=self.device) * self.classes // rows
        names = tuple(self.class_names[k] if self.class_names else str(k) for k in shown.tolist())
        columns = count // rows
        return Arrangement(rows * columns, shown.repeat_interleave(columns), columns, names)

    def report_discriminator(
        self, objective: Objective, comparison: Comparison, terms: Terms, domain: str = ""
    ) -> None:
        """Log what a discriminator's move tells; where there are several discriminators, under their ``domain``."""
        for tag, value in diagnostics.of_discriminator(objective, comparison, terms).items():
            self.statistics.report(tag + domain, value)
        for name, output in (("real", comparison.real_output), ("fake", comparison.fake_output)):
            self.statistics.keep(f"distribution/{name}{domain}", diagnostics.judgement(output))

    def report_generator(self, objective: Objective, comparison: Comparison, terms: Terms, domain: str = "") -> None:
        """Log what a generator's move tells."""
        for tag, value in diagnostics.of_generator(objective, comparison, terms).items():
            self.statistics.report(tag + domain, value)

    @property
    def scored(self) -> bool:
        """Whether its samples can be compared with the data."""
        return bool({"samples", "answers"} & set(self.provides))

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.parameters()).device
