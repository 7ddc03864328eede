"""What an augmentation is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from ganrun.core.types import Moment


class Augment(nn.Module):
    """A random change of everything that a discriminator sees, real and fake, in both players' moves.

    It is differentiable (twice, where penalties are to work), and draws afresh for every sample from torch's default
    generator of the device.
    """

    requires: tuple[str, ...] = ()
    """Traits of the data without which it makes no sense."""

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        """Changed samples, ``[B, ...]`` as they came.

        Args:
            samples: what would otherwise be shown.
            moment: how far training has come.
        """
        raise NotImplementedError

    def observe(self, comparison: Any) -> None:
        """Told after every discriminator move; adaptive augmentations adjust themselves here.

        Args:
            comparison: the :class:`ganrun.losses.base.Comparison` of the move.
        """

    def statistics(self) -> dict[str, Tensor]:
        """Tag -> scalar worth logging, on the device."""
        return {}
