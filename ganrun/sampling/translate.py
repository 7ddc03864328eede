"""Translation of images whose sides do not suit the networks."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import pad

from ganrun.games.base import Sides


def at_any_size(translate: Callable[[Tensor], Tensor], images: Tensor, sides: Sides | None) -> Tensor:
    """Translate images of any size: they are continued by their mirror images, which are cut off again.

    Args:
        translate: ``[N, C, H, W]`` or label maps ``[N, H, W]`` -> ``[N, C, H, W]``.
        images: what is translated.
        sides: that it takes; ``None``: those of ``images``.
    """
    if sides is None:
        return translate(images)
    height, width = images.shape[-2:]
    top, bottom = margins(height, sides)
    left, right = margins(width, sides)
    answers = translate(continued(images, (left, right, top, bottom)))
    return answers[:, :, top : top + height, left : left + width]


def margins(side: int, sides: Sides) -> tuple[int, int]:
    """What is missing before and behind, so that a side suits."""
    wanted = max(-(-side // sides.multiple), -(-sides.least // sides.multiple)) * sides.multiple
    return (wanted - side) // 2, wanted - side - (wanted - side) // 2


def continued(images: Tensor, room: tuple[int, int, int, int]) -> Tensor:
    """Images, or label maps, with ``room`` (left, right, top, bottom) around them.

    It is filled by their mirror images, or, where these are smaller than the room, by their edges.
    """
    if not any(room):
        return images
    height, width = images.shape[-2:]
    mode = "reflect" if max(room[:2]) < width and max(room[2:]) < height else "replicate"
    return pad(images.float(), room, mode).to(images.dtype)
