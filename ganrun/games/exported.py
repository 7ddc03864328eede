"""Games of which only what makes samples is left: what ``ganrun export`` writes and ``ganrun.load`` reads."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ganrun.core.errors import RunError
from ganrun.core.types import Batch, Move, Picture
from ganrun.games.adversarial import AdversarialGame, Latent
from ganrun.games.base import Game, Stream
from ganrun.games.cyclegan import CycleGAN
from ganrun.games.gaugan import GauGAN
from ganrun.games.nicegan import NICEGAN, encode
from ganrun.games.pix2pix import Pix2Pix
from ganrun.networks.ensemble import Ensemble
from ganrun.networks.nicegan import Discriminator


class Alone(Game):
    """Without opponents: to be used, not trained."""

    def play(self, stream: Stream) -> Iterator[Move]:
        raise RunError("What was exported has no opponent to be trained against. Go on with the run itself.")

    def graphs(self) -> dict[str, nn.Module]:
        """Networks that become a graph each, with their names: an ensemble's generators one by one."""
        return {
            f"{name}_{index}" if isinstance(network, Ensemble) else name: part
            for name, network in self.named_children()
            for index, part in enumerate(network.generators if isinstance(network, Ensemble) else [network])
        }


class GeneratorAlone(Alone, AdversarialGame):
    """A generator and its latents.

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

    def pictures(self, examples: Batch, count: int) -> dict[str, Picture]:
        return Game.pictures(self, examples, count)

    def reconstructions(self, samples: Tensor, condition: Tensor | None = None) -> Tensor | None:
        return None


class TranslatorsAlone(Alone, CycleGAN):
    """Two translators.

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


class DecodersAlone(Alone, NICEGAN):
    """Two translators who decode, and the discriminators who encode for them.

    Args:
        a_to_b: decoder of the first domain's codes, into the second domain.
        b_to_a: decoder of the second domain's codes, into the first.
        discriminator_a: encodes images of the first domain.
        discriminator_b: encodes images of the second domain.
    """

    def __init__(
        self, a_to_b: nn.Module, b_to_a: nn.Module, discriminator_a: Discriminator, discriminator_b: Discriminator
    ) -> None:
        Game.__init__(self)
        self.a_to_b = a_to_b
        self.b_to_a = b_to_a
        self.discriminator_a = discriminator_a
        self.discriminator_b = discriminator_b

    def graphs(self) -> dict[str, nn.Module]:
        ways = zip(self.directions, (self.discriminator_a, self.discriminator_b), strict=True)
        return {name: Path(encoder, getattr(self, name)) for name, encoder in ways}


class Path(nn.Module):
    """From an image through its code to its translation.

    Args:
        discriminator: encodes.
        decoder: of the code.
    """

    def __init__(self, discriminator: Discriminator, decoder: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.decoder = decoder

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(encode(self.discriminator, images))


class AnswersAlone(Alone, Pix2Pix):
    """A generator that answers source images or label maps.

    Args:
        generator: ``generator(source)`` -> images.
        palette: colours of the classes of label maps; empty where the sources are images.
    """

    def __init__(self, generator: nn.Module, palette: tuple[tuple[str, int, int, int], ...]) -> None:
        Game.__init__(self)
        self.generator = generator
        self.palette = palette
        self.needs = "maps" if palette else "images"

    def players(self) -> dict[str, list[nn.Module]]:
        return {"generator": [self.generator]}


class LayoutsAlone(Alone, GauGAN):
    """A generator of images of layouts, and what reads styles off images.

    Args:
        generator: ``generator(layout, z)`` -> images.
        encoder: of styles, or ``None``.
        latent: of styles, or ``None``.
        palette: colours of the classes of label maps; empty where the layouts are images.
    """

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module | None,
        latent: Latent | None,
        palette: tuple[tuple[str, int, int, int], ...],
    ) -> None:
        Game.__init__(self)
        self.generator = generator
        self.encoder = encoder
        self.latent = latent
        self.palette = palette
        self.needs = "maps" if palette else "images"

    def players(self) -> dict[str, list[nn.Module]]:
        return {"generator": [self.generator] if self.encoder is None else [self.generator, self.encoder]}

    def graphs(self) -> dict[str, nn.Module]:
        return {"generator": self.generator}


KINDS = {kind.alone: kind for kind in (GeneratorAlone, TranslatorsAlone, DecodersAlone, AnswersAlone, LayoutsAlone)}
"""Names of the parts that are left -> what is made of them."""
