"""Both players move at the same moment."""

from __future__ import annotations

from collections.abc import Iterator

from ganrun.core.types import Move
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.base import Stream


class SimultaneousGame(AdversarialGame):
    """The two-player game in which the last discriminator move and the generator's are one.

    Both follow the gradient of the same weights: simultaneous gradient descent, as analyses of GANs assume (Mescheder,
    Geiger & Nowozin, *Which Training Methods for GANs do actually Converge?*, ICML 2018, section 2.2).
    """

    provides = ("samples", "joint_update")

    def play(self, stream: Stream) -> Iterator[Move]:
        for _ in range(self.objective.critic_steps - 1):
            yield {"discriminator": self.discriminator_terms(next(stream))}
        batch = next(stream)
        yield {"discriminator": self.discriminator_terms(batch), "generator": self.generator_terms(batch)}
