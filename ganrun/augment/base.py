"""What an augmentation is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from ganrun.core.types import DiscriminatorOutput, Moment


class Judged(Protocol):
    """What an augmentation may learn from: real samples and what the discriminator said of them."""

    real: Tensor

    @property
    def real_output(self) -> DiscriminatorOutput:
        """The discriminator's output for the real samples."""


class Augment(nn.Module):
    """A random, differentiable map that every sample passes through before a discriminator sees it.

    It serves reals and fakes, in the discriminator's moves and in the generator's, so that the generator learns the
    data and not the augmented data. Every call draws anew for every sample, from torch's default generator of the
    samples' device, and nothing waits for the device. The map can be differentiated twice, so that penalties on the
    discriminator's gradient at the un-augmented samples work through it.
    """

    requires: tuple[str, ...] = ()
    """Traits of the data without which it is meaningless."""

    forbids: tuple[str, ...] = ()
    """Traits of loss and discriminator beside which it is meaningless."""

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        """Augmented ``samples``, of the same shape."""
        raise NotImplementedError

    def observe(self, comparison: Judged) -> None:
        """Adapt to a discriminator's output; called once for every comparison in one of its moves."""

    def statistics(self) -> dict[str, Tensor]:
        """Tag -> scalar worth logging, on the device."""
        return {}
