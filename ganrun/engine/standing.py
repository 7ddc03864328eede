"""Standing statistics (Brock, Donahue & Simonyan, *Large Scale GAN Training*, ICLR 2019, arXiv 1809.11096, appendix B).

The running averages that batch norm keeps in training lag behind the weights, and moving averages of the weights were
never run at all. Before samples are drawn, the statistics are therefore taken anew: the means over several batches of
generated samples, from the very weights, latents and truncation that are sampled. They are the same whenever these are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ganrun.engine.seeding import fixed_seed
from ganrun.engine.settings import TrainerSettings
from ganrun.games.base import Game
from ganrun.sampling.draws import generator_of


def accumulate(game: Game, settings: TrainerSettings, seed: int) -> None:
    """Replace the running averages of the batch norms that a sample passes through; nothing is put back.

    Each becomes the mean over ``settings.standing_batches`` batches of the mean, or of the unbiased variance, within a
    batch. Costs as much as those samples.

    Args:
        game: in evaluation mode; all else in it stays so.
        settings: number and size of the batches.
        seed: of their latents; classes come in turn.
    """
    layers = batch_norms(game) if settings.standing_batches else []
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.zero_()  # the first batch replaces what was there ...
        layer.momentum = None  # ... and the plain mean follows
        layer.train()
    draw = generator_of(game)
    try:
        with torch.no_grad(), fixed_seed("standing statistics", seed):
            for _ in range(settings.standing_batches):
                draw(settings.standing_batch_size)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


@contextmanager
def statistics(game: Game, settings: TrainerSettings, seed: int) -> Iterator[None]:
    """What :func:`accumulate` finds, inside the block; then the running averages again."""
    buffers = [buffer for layer in batch_norms(game) for buffer in layer.buffers()] if settings.standing_batches else []
    kept = [buffer.clone() for buffer in buffers]
    try:
        accumulate(game, settings, seed)
        yield
    finally:
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)


def batch_norms(game: Game) -> list[nn.modules.batchnorm._BatchNorm]:
    """All layers with running averages."""
    norms = nn.modules.batchnorm._BatchNorm
    return [module for module in game.modules() if isinstance(module, norms) and module.track_running_stats]
