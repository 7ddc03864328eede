"""Games of which only what makes samples is left: what ``ganrun export`` writes and ``ganrun.load`` reads."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ganrun.core.errors import RunError
from ganrun.core.types import Batch, Move, Picture
from ganrun.games.adversarial import AdversarialGame, Latent
from ganrun.games.base import Game, Stream
from ganrun.games.cyclegan import CycleGAN
from ganrun.networks.ensemble import Ensemble


class GeneratorAlone(AdversarialGame):
    """A generator and its latents, without an opponent: to be sampled, not trained.

    Args:
        generator: ``generator(z, condition)`` -> samples; a list of generators plays as an ensemble.
        latent: ``latent(count, device)`` -> ``[count, size]``.
        conditional: whether the generator is handed class labels.
        classes: classes of the data; used when ``conditional``.
    """

    def __init__(self, generator: nn.Module | list[nn.Module], latent: Latent, conditional: bool, classes: int) -> None:
        Game.__init__(self)
        self.generator = Ensemble(generator) if isinstance(generator, list) else generator
        self.latent = latent
        self.classes = classes if conditional else 0

    def players(self) -> dict[str, list[nn.Module]]:
        return {"generator": [self.generator]}

    def play(self, stream: Stream) -> Iterator[Move]:
        raise RunError("An exported generator has no opponent to be trained against. Go on with the run itself.")

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        return Game.pictures(self, examples, count)

    def reconstructions(self, samples: Tensor, condition: Tensor | None = None) -> Tensor | None:
        return None


class TranslatorsAlone(CycleGAN):
    """Two translators without discriminators: to be used, not trained.

    Args:
        a_to_b: translator from the first to the second domain.
        b_to_a: translator back.
    """

    def __init__(self, a_to_b: nn.Module, b_to_a: nn.Module) -> None:
        Game.__init__(self)
        self.a_to_b = a_to_b
        self.b_to_a = b_to_a

    def players(self) -> dict[str, list[nn.Module]]:
        return {"generator": [self.a_to_b, self.b_to_a]}

    def play(self, stream: Stream) -> Iterator[Move]:
        raise RunError("Exported translators have no opponents to be trained against. Go on with the run itself.")
