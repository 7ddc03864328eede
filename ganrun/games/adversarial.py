"""The two-player game of a generator and a discriminator (Goodfellow et al., *Generative Adversarial Nets*, 2014)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ganrun.core.types import Batch, DiscriminatorOutput, LatentSpace, Move, Picture, Scatter, Terms
from ganrun.games.base import Game, Stream
from ganrun.games.surface import surface
from ganrun.latents.normal import Normal
from ganrun.latents.uniform import Uniform
from ganrun.losses.base import Comparison, couples_samples
from ganrun.losses.objective import Objective
from ganrun.networks.ensemble import Ensemble

Latent = Callable[[int, torch.device], Tensor]


class LatentGame(Game):
    """A game whose samples are a function of latents, so that one can draw, keep and interpolate these.

    Attributes:
        latent: distribution of the latents.
    """

    latent: Latent

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Samples of latents ``[N, size]``, without gradients; by classes in turn, where it needs and lacks some."""
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, count: int, condition: Tensor | None = None) -> Tensor:
        return self.decode(self.latent(count, self.device), condition)

    def latent_space(self) -> LatentSpace | None:
        if not isinstance(self.latent, Normal | Uniform):
            return None
        return LatentSpace(
            draw=lambda count: self.latent(count, self.device),
            decode=self.decode,
            path="spherical" if isinstance(self.latent, Normal) else "linear",
        )

    def in_turn(self, count: int) -> Tensor | None:
        """Labels ``[count]`` of all classes in turn; ``None`` without classes."""
        return torch.arange(count, device=self.device) % self.classes if self.classes else None


class AdversarialGame(LatentGame):
    """``critic_steps`` discriminator moves on fresh batches, then one generator move.

    Args:
        generator: ``generator(z, condition)`` -> samples; a list of generators plays as an ensemble.
        discriminator: ``discriminator(samples, condition)`` -> :class:`~ganrun.core.types.DiscriminatorOutput`.
        latent: ``latent(count, device)`` -> ``[count, size]``.
        objective: what both minimise.
        conditional: whether class labels are handed to both networks.
        classes: classes of the data; used when ``conditional``.
    """

    alone = ("generator", "latent")

    def __init__(
        self,
        generator: nn.Module | list[nn.Module],
        discriminator: nn.Module,
        latent: Latent,
        objective: Objective,
        conditional: bool,
        classes: int,
    ) -> None:
        super().__init__()
        self.generator = Ensemble(generator) if isinstance(generator, list) else generator
        self.discriminator = discriminator
        self.latent = latent
        self.objective = objective
        self.classes = classes if conditional else 0
        self.turns_per_pass = objective.critic_steps if passes_can_be_joined(self.generator) else 1
        objective.attach(self.discriminator, self.generator)

    def players(self) -> dict[str, list[nn.Module]]:
        return {"discriminator": [self.discriminator], "generator": [self.generator]}

    def play(self, stream: Stream) -> Iterator[Move]:
        for batch, z, fake in self.critic_turns(stream):
            yield {"discriminator": self.discriminator_terms(batch, z, fake)}
        yield {"generator": self.generator_terms(batch)}

    def critic_turns(self, stream: Stream) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """Batch, latents and fakes, which carry no graph, of every discriminator move before the generator's own.

        Until then the generator stays as it is, so all fakes come from one pass, where that is the same as several.
        It takes less memory than the discriminator's moves, which keep their graph.
        """
        for _ in range(self.objective.critic_steps // self.turns_per_pass):
            batches = [next(stream) for _ in range(self.turns_per_pass)]
            sizes = [len(batch) for batch in batches]
            z = self.latent(sum(sizes), self.device)
            with torch.no_grad():
                fake = self.generator(z, join([self.condition_of(batch) for batch in batches]))
            yield from zip(batches, z.split(sizes), fake.split(sizes), strict=True)

    def condition_of(self, batch: Batch) -> Tensor | None:
        """What both networks are told of the samples."""
        return batch.condition if self.classes else None

    def discriminator_terms(self, batch: Batch, z: Tensor, fake: Tensor) -> Terms:
        """What the discriminator minimises on one batch and as many fakes, made of the latents ``z``."""
        comparison = self.compare(batch.real, fake, self.condition_of(batch))
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return terms

    def generator_terms(self, batch: Batch) -> Terms:
        """What the generator minimises, on fresh latents and the conditions of ``batch``."""
        condition = self.condition_of(batch)
        fake = self.generator(self.latent(len(batch), self.device), condition)
        comparison = self.compare(batch.real, fake, condition)
        terms = self.objective.generator_terms(comparison)
        self.report_generator(self.objective, comparison, terms)
        return terms

    def compare(self, real: Tensor, fake: Tensor, condition: Tensor | None = None) -> Comparison:
        """Both before the discriminator, as the objective wants them seen."""
        return self.objective.compare(self.discriminator, real, fake, condition, self.moment)

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        pictures = super().pictures(examples, count)
        points = pictures["generated"]
        # Where samples of a batch are judged together, or by class, the score is no function of the place alone.
        if isinstance(points, Scatter) and not self.classes and not couples_samples(self.discriminator):
            pictures["surface"] = surface(points, self.compare, self.objective)
        return pictures

    @torch.no_grad()
    def reconstructions(self, samples: Tensor, condition: Tensor | None = None) -> Tensor | None:
        """By a discriminator that is an autoencoder."""
        if "energy" not in getattr(self.discriminator, "provides", ()):
            return None
        output: DiscriminatorOutput = self.discriminator(samples, condition if self.classes else None)
        return output.reconstruction

    @torch.no_grad()
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.generator(z, self.in_turn(len(z)) if condition is None else condition)


def passes_can_be_joined(network: nn.Module) -> bool:
    """Whether several batches may go through ``network`` as one, because it treats every sample alone.

    And because a pass leaves nothing behind: what it could change are buffers (the power iteration of spectral
    normalisation, running means), and there are none.
    """
    return not couples_samples(network) and not any(True for _ in network.buffers())


def join(parts: list[Tensor | None]) -> Tensor | None:
    """Conditions of several batches, one after the other; ``None`` where there are none."""
    given = [part for part in parts if part is not None]
    return torch.cat(given) if given else None
