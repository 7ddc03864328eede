"""NICE-GAN (Chen et al., *Reusing Discriminators for Encoding*, CVPR 2020, arXiv 2003.00273)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss
from torch.nn.utils.parametrize import cached

from ganrun.core.types import Batch, DiscriminatorOutput, Grid, Move, Picture, Terms
from ganrun.games.base import Game, Stream
from ganrun.losses.objective import Objective
from ganrun.networks.nicegan import HEADS, Discriminator


class NICEGAN(Game):
    """Translators without encoders of their own: they decode what the source's discriminator makes of an image.

    With E_A and E_B the encoders in the discriminators D_A and D_B, G_B and G_A the decoders ``a_to_b`` and
    ``b_to_a``, and ``b' = G_B(E_A(a))`` (section 3)::

        discriminators  what the objective says of D_A and D_B, over all of their heads
        decoders        the same of their fakes + λ_cycle |G_A(E_B(b')) - a|₁ + λ_rec |G_A(E_A(a)) - a|₁, and with
                        a and b exchanged

    Training is decoupled (section 3.3): an encoder belongs to its discriminator, whose move alone changes it. In the
    decoders' move gradients pass through it, and only the estimate u of its spectral normalisation goes on.

    Every call of an encoder is a call of its discriminator, ``discriminator(images, judged=False)``.

    Args:
        a_to_b: decoder of the first domain's codes, into the second domain.
        b_to_a: decoder of the second domain's codes, into the first.
        discriminator_a: judges images of the first domain, and encodes them.
        discriminator_b: judges and encodes images of the second domain.
        objective: adversarial part, averaged over the heads of a discriminator; each domain has its own copy.
        adversarial_weight: factor of the objective's terms; 3 makes the average a sum, as in the paper.
        cycle_weight: λ_cycle of the mean absolute error after there and back.
        reconstruction_weight: λ_rec of the mean absolute error of an image that is decoded into its own domain.

    Raises:
        ValueError: a discriminator is of another kind, without an encoder.
    """

    requires = ("images", "two_domains")
    provides = ("answers", "shared_encoder")
    needs = "images"
    directions = ("a_to_b", "b_to_a")
    alone = ("a_to_b", "b_to_a", "discriminator_a", "discriminator_b")

    def __init__(
        self,
        a_to_b: nn.Module,
        b_to_a: nn.Module,
        discriminator_a: Discriminator,
        discriminator_b: Discriminator,
        objective: Objective,
        adversarial_weight: float,
        cycle_weight: float,
        reconstruction_weight: float,
    ) -> None:
        super().__init__()
        if not all(isinstance(network, Discriminator) for network in (discriminator_a, discriminator_b)):
            raise ValueError("NICE-GAN's discriminators begin with an encoder: use those of ganrun.networks.nicegan")
        self.a_to_b = a_to_b
        self.b_to_a = b_to_a
        self.discriminator_a = discriminator_a
        self.discriminator_b = discriminator_b
        self.objective_a, self.objective_b = objective, deepcopy(objective)  # what a term remembers is of one domain
        self.adversarial_weight = adversarial_weight
        self.cycle_weight = cycle_weight
        self.reconstruction_weight = reconstruction_weight
        self.objective_a.attach(discriminator_a, b_to_a)
        self.objective_b.attach(discriminator_b, a_to_b)

    def players(self) -> dict[str, list[nn.Module]]:
        return {
            "discriminator": [self.discriminator_a, self.discriminator_b],
            "generator": [self.a_to_b, self.b_to_a],
        }

    def play(self, stream: Stream) -> Iterator[Move]:
        for _ in range(self.objective_a.critic_steps):
            a, b = next(stream).domains
            yield {"discriminator": self.discriminator_terms(a, b)}
        yield {"generator": self.generator_terms(a, b)}

    def discriminator_terms(self, a: Tensor, b: Tensor) -> Terms:
        """What both discriminators, encoders included, minimise; the fakes carry no graph."""
        fake_a, fake_b = self.translate(b, "b_to_a"), self.translate(a, "a_to_b")
        judged_a = self.judge(self.objective_a, self.discriminator_a, a, fake_a, "_a")
        judged_b = self.judge(self.objective_b, self.discriminator_b, b, fake_b, "_b")
        return judged_a | judged_b

    def generator_terms(self, a: Tensor, b: Tensor) -> Terms:
        """What both decoders minimise."""
        with cached():  # spectral normalisation: one weight for encoding and judging
            with torch.no_grad():
                codes = torch.cat([encode(self.discriminator_a, a), encode(self.discriminator_b, b)])
            same_a, fake_a = self.b_to_a(codes).chunk(2)
            fake_b, same_b = self.a_to_b(codes).chunk(2)
            terms = self.persuade(self.objective_a, self.discriminator_a, a, fake_a, "_a")
            terms |= self.persuade(self.objective_b, self.discriminator_b, b, fake_b, "_b")
            again_a = self.b_to_a(encode(self.discriminator_b, fake_b))
            again_b = self.a_to_b(encode(self.discriminator_a, fake_a))
        for domain, image, again, same in (("a", a, again_a, same_a), ("b", b, again_b, same_b)):
            terms[f"cycle_{domain}"] = self.cycle_weight * _distance(again, image)
            terms[f"reconstruction_{domain}"] = self.reconstruction_weight * _distance(same, image)
        return terms

    def judge(
        self, objective: Objective, discriminator: Discriminator, real: Tensor, fake: Tensor, domain: str
    ) -> Terms:
        """The objective's terms of the discriminator of one domain."""
        comparison = objective.compare(discriminator, real, fake, None, self.moment)
        terms = objective.discriminator_terms(comparison)
        self.report_discriminator(objective, comparison, terms, domain)
        for verdict, output in (("real", comparison.real_output), ("fake", comparison.fake_output)):
            for head, score in zip(HEADS, output.scores, strict=True):
                self.statistics.report(f"score/{verdict}_{head}{domain}", score.mean())
        strength = discriminator.encoder.attention.strength.detach()
        self.statistics.report(f"attention/strength{domain}", strength.clone())  # it moves on
        return self.weighted(terms, domain)

    def persuade(
        self, objective: Objective, discriminator: Discriminator, real: Tensor, fake: Tensor, domain: str
    ) -> Terms:
        """The objective's terms of the decoder into one domain."""
        comparison = objective.compare(discriminator, real, fake, None, self.moment)
        terms = objective.generator_terms(comparison)
        self.report_generator(objective, comparison, terms, domain)
        return self.weighted(terms, domain)

    def weighted(self, terms: Terms, domain: str) -> Terms:
        """Terms of the objective as parts of the whole, named after their domain."""
        return {name + domain: self.adversarial_weight * term for name, term in terms.items()}

    @torch.no_grad()
    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        """Translate ``condition``, ``count`` images of the first domain, into the second."""
        assert condition is not None
        return self.translate(condition, "a_to_b")

    @torch.no_grad()
    def translate(self, images: Tensor, direction: str) -> Tensor:
        encoder = self.discriminator_a if direction == "a_to_b" else self.discriminator_b
        decoder: nn.Module = getattr(self, direction)
        return decoder(encode(encoder, images))

    @torch.no_grad()
    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        """One row per image: original, the code's sum over channels, reconstruction, translation, and back again."""
        a, b = (domain[: max(1, round(count**0.5))] for domain in examples.domains)
        return {
            "a_to_b": self.rows(a, self.discriminator_a, self.directions, "A", "B"),
            "b_to_a": self.rows(b, self.discriminator_b, self.directions[::-1], "B", "A"),
        }

    def rows(self, images: Tensor, discriminator: Discriminator, ways: tuple[str, ...], here: str, other: str) -> Grid:
        """What becomes of images of one domain, whose discriminator encodes them."""
        there, back = ways
        code = encode(discriminator, images)
        translated = self.translate(images, there)
        same: Tensor = getattr(self, back)(code)
        columns = [images, heat_map(code, images), same, translated, self.translate(translated, back)]
        captions = (here, "code", f"{here} to {here}", f"{here} to {other}", f"{here} to {other} to {here}")
        return Grid(torch.stack(columns, dim=1).flatten(0, 1), len(columns), captions=captions)  # of the first row


def encode(discriminator: Discriminator, images: Tensor) -> Tensor:
    """The code of ``images``, ``[B, K, H / 4, W / 4]``, by a discriminator's encoder."""
    output: DiscriminatorOutput = discriminator(images, judged=False)
    assert output.code is not None
    return output.code


def heat_map(code: Tensor, like: Tensor) -> Tensor:
    """Sum of a code over its channels, from black for the smallest to white for the largest value of an image.

    Args:
        code: ``[B, K, h, w]``.
        like: images whose shape it is brought to.
    """
    heat = code.sum(1, keepdim=True)
    low, high = heat.amin((2, 3), keepdim=True), heat.amax((2, 3), keepdim=True)
    heat = 2 * (heat - low) / (high - low).clamp_min(1e-12) - 1
    return interpolate(heat, size=like.shape[2:], mode="nearest-exact").expand_as(like)


def _distance(image: Tensor, target: Tensor) -> Tensor:
    return l1_loss(image.float(), target)
