"""Perceptual path length (Karras, Laine & Aila, *A Style-Based Generator Architecture*, CVPR 2019, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ganrun.core.arguments import Fraction, Positive, PositiveInt
from ganrun.latents.interpolation import along
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable

WEIGHTS = ("weights-vgg16-lpips.pth", "vgg16-397923af.pth")
"""Files of the LPIPS distance and of the VGG-16 network below it, in torch hub's folder."""


class PathLength(Metric):
    """``E[d(G(z(t)), G(z(t + ε))) / ε²]`` on random ways between latents, d the LPIPS distance on VGG-16.

    Small where a small step in latent space is a small step for the eye, everywhere. Images stay float, since ε is
    finer than 256 levels. Grey images are shown to the network in three equal channels.

    Differs from the paper: images are resized to ``resize`` pixels where theirs are cropped to faces and 256 pixels.

    Args:
        ways: number of random ways.
        epsilon: length of a step, as a share of the way.
        discard: share of the shortest and of the longest ways that is left out; 0.01 in the published code.
        resize: side in pixels of what the network sees.
        batch_size: ways at once.
    """

    requires = ("images",)
    lower_is_better = True

    def __init__(
        self, ways: PositiveInt, epsilon: Positive, discard: Fraction, resize: PositiveInt, batch_size: PositiveInt
    ) -> None:
        self.ways = ways
        self.epsilon = epsilon
        self.discard = discard
        self.resize = resize
        self.batch_size = batch_size

    def evaluate(self, samples: Samples) -> Spread:
        space = samples.space
        if space is None or space.path is None:
            raise Unavailable("these samples have no latents that one could walk through")
        distance = lpips(self.resize)
        lengths = []
        for count in _parts(self.ways, self.batch_size):
            first, second = space.draw(count), space.draw(count)
            t = torch.rand(count, 1, dtype=torch.float64, device=first.device)
            steps = along(first, second, torch.cat([t, t + self.epsilon], dim=1), space.path)
            here, there = (space.decode(z).cpu() for z in steps.unbind(1))
            lengths.append(distance(here, there).double() / self.epsilon**2)
        return trimmed(torch.cat(lengths), self.discard)


def _parts(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def trimmed(lengths: Tensor, discard: float) -> Spread:
    """Mean and deviation without the shares ``discard`` of the smallest and largest values."""
    low, high = (torch.quantile(lengths, q) for q in (discard, 1 - discard))
    kept = lengths[(lengths >= low) & (lengths <= high)]
    return Spread(kept.mean().item(), kept.std().item())


def lpips(resize: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The LPIPS distance of torch-fidelity between float images ``[B, C, H, W]`` in [-1, 1], ``[B]``.

    Raises:
        Unavailable: its weights are not on this machine; nothing is downloaded.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if missing := [name for name in WEIGHTS if not (folder / name).is_file()]:
        raise Unavailable(
            f"its network's weights are not on this machine. Put {' and '.join(missing)} into {folder}, "
            "or leave the metric out"
        )
    from torch_fidelity.sample_similarity_lpips import SampleSimilarityLPIPS

    network = SampleSimilarityLPIPS("lpips-vgg16", sample_similarity_resize=resize)

    def distance(here: Tensor, there: Tensor) -> Tensor:
        one, other = ((images.float().expand(-1, 3, -1, -1) + 1) * 127.5 for images in (here, there))
        found: Tensor = network(one, other)
        return found.flatten()

    return distance
