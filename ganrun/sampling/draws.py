"""Samples in any number, with the conditions that they were asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.types import Batch, Dataset
from ganrun.data.one_domain import OneDomain
from ganrun.games.base import Game
from ganrun.metrics.base import Draw, Supply

SEED = 1  # of the order of the data's conditions: another than that of the real images that samples are compared with


def supplies_of(game: Game, dataset: Dataset) -> dict[str, Supply]:
    """What an evaluation of the game scores, by name: the samples, or what either direction makes of two domains.

    Answers to images and to label maps are drawn once for each of these.
    """
    if game.directions:
        return {direction: _translations(game, dataset, number) for number, direction in enumerate(game.directions)}
    if not game.needs:
        return {"": Supply(generator_of(game), space=game.latent_space())}
    answers = _Answers(game, dataset)
    available = None if game.needs == "texts" else len(answers.order)
    return {"": Supply(answers.draw, available=available, space=game.latent_space(), truths=answers.truths)}


def generator_of(game: Game) -> Draw:
    """Samples of a game that needs nothing; of a conditional one with their classes, which come in turn."""
    if not game.classes:
        return game.sample

    drawn = 0

    def labelled(count: int) -> tuple[Tensor, Tensor]:
        nonlocal drawn  # goes on where the last batch ended, so that every class gets as many samples
        condition = torch.arange(drawn, drawn + count, device=game.device) % game.classes
        drawn += count
        return game.sample(count, condition), condition

    return labelled


def needed(batch: Batch) -> Tensor:
    """What a game that needs conditions is given of a batch: the condition, or images of the first of two domains."""
    return batch.real if batch.condition is None else batch.condition


class _Answers:
    """Samples for conditions of the data, in a fixed random order."""

    def __init__(self, game: Game, dataset: Dataset) -> None:
        self.game = game
        self.dataset = dataset
        self.order = fixed_order(dataset.facts.count[0])
        self.drawn = 0

    def draw(self, count: int) -> Tensor | tuple[Tensor, Tensor]:
        """Go on where the last batch ended, so that every condition is used as often."""
        condition = needed(self._of(torch.arange(self.drawn, self.drawn + count)))
        self.drawn += count
        samples = self.game.sample(count, condition)
        return samples if self.game.needs == "images" else (samples, condition)

    def truths(self, numbers: Tensor) -> Tensor:
        """Images that the conditions of some samples belong to."""
        return self._of(numbers).real

    def _of(self, numbers: Tensor) -> Batch:
        return self.dataset.fetch((self.order[numbers % len(self.order)],), augment=False)


def _translations(game: Game, dataset: Dataset, number: int) -> Supply:
    """Translations of one of two domains, from the first to the second (``number`` 0) or back (1)."""
    there, back = game.directions[number], game.directions[1 - number]
    sources = OneDomain(dataset, number)
    order = fixed_order(sources.facts.count[0])
    drawn = 0

    def source(numbers: Tensor) -> Tensor:
        return sources.fetch((order[numbers],), augment=False).real

    def draw(count: int) -> Tensor:
        nonlocal drawn
        images = source(torch.arange(drawn, drawn + count))
        drawn += count
        return game.translate(images, there)

    def cycles(numbers: Tensor) -> tuple[Tensor, Tensor]:
        images = source(numbers)
        return images, game.translate(game.translate(images, there), back)

    return Supply(draw, domain=1 - number, available=len(order), cycles=cycles)


def fixed_order(count: int) -> Tensor:
    """The numbers of all samples of a domain, shuffled, the same in every call."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(SEED))
