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
        return simultaneously(self, stream)


def simultaneously(game: AdversarialGame, stream: Stream) -> Iterator[Move]:
    """The moves of one step, of which the last is of both players."""
    for turn, (batch, z, fake) in enumerate(game.critic_turns(stream), start=1):
        move: Move = {"discriminator": game.discriminator_terms(batch, z, fake)}
        if turn == game.objective.critic_steps:
            move["generator"] = game.generator_terms(batch)
        yield move
