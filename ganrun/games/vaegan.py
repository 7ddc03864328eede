"""VAE-GAN (Larsen et al., *Autoencoding beyond pixels using a learned similarity metric*, ICML 2016, arXiv 1512.09300).

Three players, three sums, one forward pass (Algorithm 1).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.tensors import exact
from ganrun.core.types import Batch, DiscriminatorOutput, Move, Terms
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.base import Stream
from ganrun.latents.normal import Normal
from ganrun.latents.posterior import Posterior
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective


class VAEGAN(AdversarialGame):
    """A variational autoencoder whose decoder is a generator, and whose error is measured by the discriminator.

    With ``z ~ q(z|x)``, the reconstruction ``x̃ = G(z)``, a prior sample ``G(z_p)``, the prior's term
    ``L_prior = KL(q(z|x) ‖ N(0, I))`` and the learned error ``L_llike = ½ ‖D_l(x̃) - D_l(x)‖²``, a sum over layer l::

        encoder        L_prior + L_llike
        generator      γ L_llike + what the objective says of D(x̃) and D(G(z_p))
        discriminator  what the objective says of D(x), D(x̃) and D(G(z_p))

    The encoder gets no gradient of the GAN, and the discriminator none of L_llike. D_l(x) is a constant.

    Differs from the paper: the two kinds of fakes are averaged instead of added, so that they weigh as much as the
    reals, which losses without a bound need; for the generator that is the paper with twice this γ. The reals are shown
    twice, once for each fake, for losses and penalties on pairs.

    Augmentations are the discriminator's only: with them, L_llike takes two more passes, which are not augmented.
    Logs ``reconstruction/mse``, per pixel in [-1, 1].

    Args:
        generator: ``generator(z, condition)`` -> samples (the paper's decoder).
        encoder: ``encoder(samples, condition)`` -> means, then logarithms of variances, ``[B, 2 · size]``.
        discriminator: hands out features.
        latent: the prior.
        objective: of the discriminator, and of the generator beside γ L_llike.
        conditional: whether class labels are handed to all three networks.
        feature_layer: l, an index of the discriminator's features, 0 the shallowest.
        reconstruction_weight: γ.
        classes: classes of the data; used when ``conditional``.
    """

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module,
        discriminator: nn.Module,
        latent: Normal,
        objective: Objective,
        conditional: bool,
        feature_layer: int,
        reconstruction_weight: NonNegative,
        classes: int,
    ) -> None:
        super().__init__(generator, discriminator, latent, objective, conditional, classes)
        self.encoder = encoder
        self.feature_layer = feature_layer
        self.reconstruction_weight = reconstruction_weight

    def players(self) -> dict[str, list[nn.Module]]:
        return super().players() | {"encoder": [self.encoder]}

    def play(self, stream: Stream) -> Iterator[Move]:
        for _ in range(self.objective.critic_steps - 1):
            batch = next(stream)
            with torch.no_grad():
                _, z, fakes = self.fakes(batch)
            yield {"discriminator": self.discriminator_terms(batch, z, fakes)}
        yield self.three_moves(next(stream))

    def discriminator_terms(self, batch: Batch, z: Tensor, fake: Tensor) -> Terms:
        comparison = self.before_discriminator(batch, fake)
        terms = self.objective.discriminator_terms(comparison)
        self.report_discriminator(self.objective, comparison, terms)
        return terms

    def three_moves(self, batch: Batch) -> Move:
        """What every player minimises, from one forward pass."""
        posterior, _, fakes = self.fakes(batch)
        comparison = self.before_discriminator(batch, fakes)
        judged = self.objective.discriminator_terms(comparison)  # first: the generator's side takes reals for constants
        fooled = self.objective.generator_terms(comparison)
        error = self.feature_error(batch, comparison)
        # last, for what nobody has asked the discriminator so far is computed without a graph
        self.report_generator(self.objective, comparison, fooled)
        self.report_discriminator(self.objective, comparison, judged)
        self.statistics.report("reconstruction/mse", mse_loss(fakes[: len(batch)], batch.real))
        return {
            "encoder": {"prior": posterior.divergence().mean(), "reconstruction": error},
            "generator": fooled | {"reconstruction": self.reconstruction_weight * error},
            "discriminator": judged,
        }

    def fakes(self, batch: Batch) -> tuple[Posterior, Tensor, Tensor]:
        """``q(z|x)``, latents, and what they decode to: reconstructions, then as many prior samples, ``[2 B, ...]``."""
        condition = self.condition_of(batch)
        posterior = Posterior.read(self.encoder(batch.real, condition))
        z = torch.cat([posterior.draw(), self.latent(len(batch), self.device)])
        return posterior, z, self.generator(z, _twice(condition))

    def before_discriminator(self, batch: Batch, fakes: Tensor) -> Comparison:
        """Every real beside its reconstruction, and again beside a prior sample."""
        condition = self.condition_of(batch)
        return self.compare(torch.cat([batch.real, batch.real]), fakes, _twice(condition))

    def feature_error(self, batch: Batch, comparison: Comparison) -> Tensor:
        """L_llike, averaged over the batch."""
        real, fake, count = comparison.real_output, comparison.fake_output, len(batch)
        if self.objective.augment:  # the views of x and of its reconstruction would differ
            condition = self.condition_of(batch)
            with torch.no_grad():
                real = self.discriminator(batch.real, condition)
            fake = self.discriminator(comparison.fake[:count], condition)
        difference = self.features(fake)[:count] - self.features(real)[:count].detach()
        return difference.square().flatten(1).sum(1).mean() / 2

    def features(self, output: DiscriminatorOutput) -> Tensor:
        """Layer l of the discriminator.

        Raises:
            RunError: there is no such layer.
        """
        if not 0 <= self.feature_layer < len(output.features):
            name, found = type(self.discriminator).__name__, len(output.features)
            raise RunError(
                f"VAE-GAN compares layer {self.feature_layer} of the discriminator's features, and {name} hands out "
                f"{found}. Set model.feature_layer below {found}, or choose another discriminator."
            )
        return exact(output.features[self.feature_layer])

    @torch.no_grad()
    def reconstructions(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        condition = condition if self.classes else None
        return self.generator(Posterior.read(self.encoder(samples, condition)).mean, condition)


def _twice(condition: Tensor | None) -> Tensor | None:
    return None if condition is None else torch.cat([condition, condition])
