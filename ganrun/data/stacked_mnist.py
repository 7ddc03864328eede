"""Stacked MNIST: 1,000 modes that can be counted.

Metz et al., *Unrolled Generative Adversarial Networks*, ICLR 2017, arXiv 1611.02163, section 3.3.1.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.types import Batch
from ganrun.data.base import Split
from ganrun.data.decode import Filter
from ganrun.data.mnist import Mnist


class StackedMnist:
    """Three random digits as the red, green and blue of one image, which are put together when they are asked for.

    The class of an image is the number that its digits write, the red one first: 0 to 999.

    Attributes:
        digits: the single digits.

    Args:
        root: folder of the digits, as for MNIST.
        download: fetch them when they are not there.
        split: training or test digits.
        size: side in pixels after resizing.
        filter: resampling filter.
        count: number of stacks; 128,000 in Lin et al., *PacGAN*, NeurIPS 2018.
        stack_seed: which digits are stacked.

    Raises:
        DataError: the files are not there, cannot be fetched or are damaged.
    """

    provides: tuple[str, ...] = ("images", "labels")
    """Traits that the data have; read without importing torch."""

    def __init__(
        self,
        root: str,
        download: bool,
        split: Split,
        size: PositiveInt,
        filter: Filter,
        count: PositiveInt,
        stack_seed: NonNegativeInt,
    ) -> None:
        self.digits = Mnist(root, download, split, size, filter, subset=None, subset_seed=0, flip=False)
        single = self.digits.facts
        generator = torch.Generator().manual_seed(stack_seed)
        self.stacks = torch.randint(single.count[0], (count, 3), generator=generator)
        fingerprint = hashlib.sha256(repr((single.fingerprint, self.stacks.tolist())).encode()).hexdigest()
        self.facts = replace(
            single,
            shape=(3, size, size),
            count=(count,),
            classes=1000,
            fingerprint=fingerprint,
            description=f"{count:,} stacks 3x{size}x{size}, 1000 classes, sha256 {fingerprint[:8]}, of "
            f"{single.description}",
        )

    def place(self, device: str) -> None:
        """Move the digits to ``device``."""
        self.digits.place(device)

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        """Announce a coming :meth:`fetch`."""
        self.digits.prefetch((self.stacks[indices[0]].flatten(),))

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        """Stacks at ``indices``, ``[B, 3, H, W]`` in [-1, 1], and their classes; there is nothing to augment."""
        digits = self.digits.fetch((self.stacks[indices[0]].flatten(),), augment=False)
        images = digits.real.unflatten(0, (-1, 3)).squeeze(2)
        assert digits.condition is not None
        red, green, blue = digits.condition.unflatten(0, (-1, 3)).unbind(1)
        return Batch((images.contiguous(memory_format=torch.channels_last),), 100 * red + 10 * green + blue)

    def examples(self, count: int) -> Batch:
        """The first ``count`` stacks."""
        return self.fetch((torch.arange(min(count, len(self.stacks))),))
