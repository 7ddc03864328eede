"""CycleGAN (Zhu et al., *Unpaired Image-to-Image Translation ...*, ICCV 2017, arXiv 1703.10593)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ganrun.core.types import Batch, Grid, Move, Picture, Terms
from ganrun.games.base import Game, Stream
from ganrun.games.image_pool import ImagePool
from ganrun.losses.objective import Objective


class CycleGAN(Game):
    """Two translators, who must fool two discriminators and undo each other (equation 3), and then the discriminators.

    Each domain is a game of its own, with its own copy of the objective; the discriminators see fakes from a pool.

    Differs from the paper: with an identity term on every data set, as in the published code. Both domains have one
    shape, so that it is defined; data sets see to that.

    Args:
        a_to_b: translator from the first to the second domain (the paper's G).
        b_to_a: translator back (F).
        discriminator_a: judges images of the first domain (D_X).
        discriminator_b: judges images of the second domain (D_Y).
        objective: adversarial part.
        adversarial_weight: factor of the objective's terms.
        discriminator_factor: further factor of the discriminators' terms; the paper halves them.
        cycle_weight: λ of the mean absolute error after there and back.
        identity_weight: weight of the mean absolute change of images already in the target domain, in units of
            ``cycle_weight``; 0 leaves the term out.
        pool_size: generated images kept per domain; 0 shows the discriminators the newest only.
        shape: shape of one image, ``(channels, height, width)``.
    """

    requires = ("images", "two_domains")
    provides = ("answers",)
    needs = "images"
    directions = ("a_to_b", "b_to_a")
    alone: tuple[str, ...] = ("a_to_b", "b_to_a")

    def __init__(
        self,
        a_to_b: nn.Module,
        b_to_a: nn.Module,
        discriminator_a: nn.Module,
        discriminator_b: nn.Module,
        objective: Objective,
        adversarial_weight: float,
        discriminator_factor: float,
        cycle_weight: float,
        identity_weight: float,
        pool_size: int,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.a_to_b = a_to_b
        self.b_to_a = b_to_a
        self.discriminator_a = discriminator_a
        self.discriminator_b = discriminator_b
        self.objective_a, self.objective_b = objective, deepcopy(objective)  # what a term remembers is of one domain
        self.adversarial_weight = adversarial_weight
        self.discriminator_factor = discriminator_factor
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight
        self.pool_a = ImagePool(pool_size, shape)
        self.pool_b = ImagePool(pool_size, shape)
        self.objective_a.attach(discriminator_a, b_to_a)
        self.objective_b.attach(discriminator_b, a_to_b)

    def players(self) -> dict[str, list[nn.Module]]:
        return {
            "generator": [self.a_to_b, self.b_to_a],
            "discriminator": [self.discriminator_a, self.discriminator_b],
        }

    def play(self, stream: Stream) -> Iterator[Move]:
        a, b = next(stream).domains
        fake_a, fake_b = self.b_to_a(b), self.a_to_b(a)
        yield {"generator": self.generator_terms(a, b, fake_a, fake_b)}
        yield {"discriminator": self.discriminator_terms(a, b, fake_a, fake_b)}
        for _ in range(self.objective_a.critic_steps - 1):
            a, b = next(stream).domains
            with torch.no_grad():
                fake_a, fake_b = self.b_to_a(b), self.a_to_b(a)
            yield {"discriminator": self.discriminator_terms(a, b, fake_a, fake_b)}

    def generator_terms(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Terms:
        """What both translators minimise."""
        judged_a = self.judge_generator(self.objective_a, self.discriminator_a, a, fake_a, "_a")
        judged_b = self.judge_generator(self.objective_b, self.discriminator_b, b, fake_b, "_b")
        terms = _both(judged_a, judged_b, self.adversarial_weight)
        terms["cycle_a"] = self.cycle_weight * _distance(self.b_to_a(fake_b), a)
        terms["cycle_b"] = self.cycle_weight * _distance(self.a_to_b(fake_a), b)
        if self.identity_weight:
            weight = self.identity_weight * self.cycle_weight
            terms["identity_a"] = weight * _distance(self.b_to_a(a), a)
            terms["identity_b"] = weight * _distance(self.a_to_b(b), b)
        return terms

    def discriminator_terms(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Terms:
        """What both discriminators minimise; the fakes pass through the pools."""
        judged_a = self.judge_discriminator(self.objective_a, self.discriminator_a, a, self.pool_a(fake_a), "_a")
        judged_b = self.judge_discriminator(self.objective_b, self.discriminator_b, b, self.pool_b(fake_b), "_b")
        return _both(judged_a, judged_b, self.adversarial_weight * self.discriminator_factor)

    def judge_generator(
        self, objective: Objective, discriminator: nn.Module, real: Tensor, fake: Tensor, domain: str
    ) -> Terms:
        """The objective's terms of the translator into one domain."""
        comparison = objective.compare(discriminator, real, fake, None, self.moment)
        terms = objective.generator_terms(comparison)
        self.report_generator(objective, comparison, terms, domain)
        return terms

    def judge_discriminator(
        self, objective: Objective, discriminator: nn.Module, real: Tensor, fake: Tensor, domain: str
    ) -> Terms:
        """The objective's terms of the discriminator of one domain."""
        comparison = objective.compare(discriminator, real, fake, None, self.moment)
        terms = objective.discriminator_terms(comparison)
        self.report_discriminator(objective, comparison, terms, domain)
        return terms

    @torch.no_grad()
    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        """Translate ``condition``, ``count`` images of the first domain, into the second."""
        assert condition is not None
        return self.a_to_b(condition)

    @torch.no_grad()
    def translate(self, images: Tensor, direction: str) -> Tensor:
        translator: nn.Module = getattr(self, direction)
        return translator(images)

    @torch.no_grad()
    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        """One row per image: original, translation, back again, and what the other translator makes of the original."""
        a, b = (domain[: max(1, round(count**0.5))] for domain in examples.domains)
        return {
            "a_to_b": _there_and_back(a, self.a_to_b, self.b_to_a, "A", "B"),
            "b_to_a": _there_and_back(b, self.b_to_a, self.a_to_b, "B", "A"),
        }


def _both(terms_a: Terms, terms_b: Terms, weight: float) -> Terms:
    domains = {"a": terms_a, "b": terms_b}
    return {f"{name}_{domain}": weight * term for domain, terms in domains.items() for name, term in terms.items()}


def _distance(image: Tensor, target: Tensor) -> Tensor:
    return l1_loss(image.float(), target)


def _there_and_back(images: Tensor, there: nn.Module, back: nn.Module, here: str, other: str) -> Grid:
    translated = there(images)
    columns = [images, translated, back(translated), back(images)]
    captions = (here, f"{here} to {other}", f"{here} to {other} to {here}", f"{here} to {here}")  # of the first row
    return Grid(torch.stack(columns, dim=1).flatten(0, 1), len(columns), captions=captions)
