"""NICE-GAN (Chen et al., *Reusing Discriminators for Encoding*, CVPR 2020, arXiv 2003.00273)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, l1_loss
from torch.nn.utils.parametrize import cached

from ganrun.core.types import Batch, DiscriminatorOutput, Grid, Move, Picture, Terms
from ganrun.games.base import Game, Stream
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective
from ganrun.networks.nicegan import HEADS, Discriminator


class NICEGAN(Game):
    """Translators without encoders of their own: they decode what the source's discriminator makes of an image.

    With E_A and E_B the encoders in the discriminators D_A and D_B, G_B and G_A the decoders ``a_to_b`` and
    ``b_to_a``, and ``b' = G_B(E_A(a))`` (equations 5 to 8)::

        discriminators  what the objective says of D_A and D_B, over all of their heads
        decoders        the same of their fakes + λ_cycle |G_A(E_B(b')) - a|₁ + λ_rec |G_A(E_A(a)) - a|₁, and with
                        a and b exchanged

    Training is decoupled (section 3.2): an encoder belongs to its discriminator, whose move alone changes it. In the
    decoders' move gradients pass through it, and only the estimate u of its spectral normalisation goes on.

    Every call of an encoder is a call of its discriminator, ``discriminator(images, judged=False)``.

    Args:
        a_to_b: decoder of the first domain's codes, into the second domain.
        b_to_a: decoder of the second domain's codes, into the first.
        discriminator_a: judges images of the first domain, and encodes them.
        discriminator_b: judges and encodes images of the second domain.
        objective: adversarial part, averaged over the heads of a discriminator.
        adversarial_weight: factor of the objective's terms; 3 makes the average a sum, as in the paper.
        cycle_weight: λ_cycle of the mean absolute error after there and back.
        reconstruction_weight: λ_rec of the mean absolute error of an image that is decoded into its own domain.

    Raises:
        ValueError: a discriminator is of another kind, without an encoder.
    """

    requires = ("images", "two_domains")
    provides = ("shared_encoder",)
    needs = "images"
    directions = ("a_to_b", "b_to_a")

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
        self.objective = objective
        self.adversarial_weight = adversarial_weight
        self.cycle_weight = cycle_weight
        self.reconstruction_weight = reconstruction_weight
        objective.attach(nn.ModuleList([discriminator_a, discriminator_b]), nn.ModuleList([a_to_b, b_to_a]))

    def players(self) -> dict[str, list[nn.Module]]:
        return {
            "discriminator": [self.discriminator_a, self.discriminator_b],
            "generator": [self.a_to_b, self.b_to_a],
        }

    def play(self, stream: Stream) -> Iterator[Move]:
        for _ in range(self.objective.critic_steps):
            a, b = next(stream).domains
            yield {"discriminator": self.discriminator_terms(a, b)}
        yield {"generator": self.generator_terms(a, b)}

    def discriminator_terms(self, a: Tensor, b: Tensor) -> Terms:
        """What both discriminators, encoders included, minimise; the fakes carry no graph."""
        fakes = self.translate(b, "b_to_a"), self.translate(a, "a_to_b")
        terms = {}
        discriminators = self.discriminator_a, self.discriminator_b
        for (domain, comparison), discriminator in zip(self.comparisons(a, b, *fakes), discriminators, strict=True):
            judged = self.objective.discriminator_terms(comparison)
            self.report_discriminator(self.objective, comparison, judged, f"_{domain}")
            self.report_heads(comparison, domain)
            terms |= {f"{name}_{domain}": self.adversarial_weight * term for name, term in judged.items()}
            strength = discriminator.encoder.attention.strength
            self.statistics.report(f"attention/strength_{domain}", strength.detach().clone())  # it moves on
        return terms

    def generator_terms(self, a: Tensor, b: Tensor) -> Terms:
        """What both decoders minimise."""
        terms = {}
        with cached():  # spectral normalisation: one weight for encoding and judging
            with torch.no_grad():
                code_a, code_b = encode(self.discriminator_a, a), encode(self.discriminator_b, b)
            same_a, fake_a = self.b_to_a(torch.cat([code_a, code_b])).chunk(2)
            fake_b, same_b = self.a_to_b(torch.cat([code_a, code_b])).chunk(2)
            for domain, comparison in self.comparisons(a, b, fake_a, fake_b):
                judged = self.objective.generator_terms(comparison)
                self.report_generator(self.objective, comparison, judged, f"_{domain}")
                terms |= {f"{name}_{domain}": self.adversarial_weight * term for name, term in judged.items()}
            terms["cycle_a"] = self.cycle_weight * _distance(self.b_to_a(encode(self.discriminator_b, fake_b)), a)
            terms["cycle_b"] = self.cycle_weight * _distance(self.a_to_b(encode(self.discriminator_a, fake_a)), b)
        terms["reconstruction_a"] = self.reconstruction_weight * _distance(same_a, a)
        terms["reconstruction_b"] = self.reconstruction_weight * _distance(same_b, b)
        return terms

    def comparisons(self, a: Tensor, b: Tensor, fake_a: Tensor, fake_b: Tensor) -> Iterator[tuple[str, Comparison]]:
        """Each domain's images before its discriminator, as the objective wants them seen."""
        yield "a", self.objective.compare(self.discriminator_a, a, fake_a, None, self.moment)
        yield "b", self.objective.compare(self.discriminator_b, b, fake_b, None, self.moment)

    def report_heads(self, comparison: Comparison, domain: str) -> None:
        """Log what every head of a discriminator says of real and of generated images."""
        for verdict, output in (("real", comparison.real_output), ("fake", comparison.fake_output)):
            for head, score in zip(HEADS, output.scores, strict=True):
                self.statistics.report(f"score/{verdict}_{head}_{domain}", score.mean())

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
        pictures: dict[str, Picture] = {}
        for images, there, back in ((a, "a_to_b", "b_to_a"), (b, "b_to_a", "a_to_b")):
            code = encode(self.discriminator_a if there == "a_to_b" else self.discriminator_b, images)
            translated = getattr(self, there)(code)
            row = [images, heat_map(code, images), getattr(self, back)(code), translated]
            row.append(self.translate(translated, back))
            pictures[there] = Grid(torch.stack(row, dim=1).flatten(0, 1), columns=len(row))
        return pictures


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
