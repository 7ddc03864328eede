"""Run folders as training leaves them, with scores that are made up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from made_up import entry, make_run, tick
from PIL import Image

from ganrun.core.colours import PADDING_LEVEL
from ganrun.sweep.ledger import Ledger


def make_curve(
    folder: Path,
    *overrides: str,
    seed: int,
    curve: Sequence[tuple[int, float]],
    seconds_per_step: float = 0.01,
    **state,
) -> None:
    """A run whose FID went along ``curve``, with a picture at the end."""
    entries = [entry(at, {"fid": value, "modes": 8 / (1 + value)}) for at, value in curve]
    ticks = "".join(tick(at, 1 / seconds_per_step) for at, _ in curve)
    make_run(folder, *overrides, seed=seed, entries=entries, ticks=ticks, step=curve[-1][0] if curve else 0, **state)
    if curve:
        draw_grid(folder / "samples" / f"generated_{curve[-1][0]:08d}.png", seed=len(folder.name))


def draw_grid(path: Path, columns: int = 8, size: int = 40, seed: int = 0) -> None:
    """A grid of discs, framed as the painter frames it."""
    random, sheet = np.random.default_rng(seed), np.full([columns * (size + 2) + 2] * 2 + [3], PADDING_LEVEL, np.uint8)
    across, down = np.meshgrid(np.arange(size), np.arange(size))
    for row, column in product(range(columns), repeat=2):
        x, y, radius = random.uniform(0.3, 0.7) * size, random.uniform(0.3, 0.7) * size, random.uniform(0.1, 0.3) * size
        disc = np.clip(radius - np.hypot(across - x, down - y) + 0.5, 0, 1)[..., None]
        top, left = row * (size + 2) + 2, column * (size + 2) + 2
        sheet[top : top + size, left : left + size] = 20 + disc * random.uniform(60, 235, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def make_sweep(folder: Path) -> Path:
    """24 runs: four losses, two learning rates, three seeds; one diverged, one was killed, two never began."""
    losses = {"wgan": (30, 0.05), "wgan_gp": (8, 0.09), "hinge": (8.4, 0.02), "nonsaturating": (14, 0.02)}
    values = list(product(losses, ("1e-4", "4e-4"), (0, 1, 2)))
    jobs = [[f"loss={loss}", f"optimizer.generator.lr={rate}", f"seed={seed}"] for loss, rate, seed in values]
    rows = Ledger(folder).add(jobs, ["loss", "optimizer.generator.lr", "seed"])
    for row, (loss, rate, seed) in zip(rows, values, strict=True):
        random = np.random.default_rng(len(list(folder.iterdir())))
        floor, seconds = losses[loss]
        floor *= (1.3 if rate == "4e-4" else 1) * random.uniform(0.9, 1.1)
        steps = range(250, 3001, 250)
        curve = [(at, floor * (1 + 9 * math.exp(-at / 700)) * random.uniform(0.97, 1.03)) for at in steps]
        state = {"seconds_per_step": seconds * random.uniform(0.95, 1.05)}
        if (loss, rate) == ("wgan", "4e-4"):
            if seed:
                continue
            curve = curve[:3]
            state |= {"status": "failed", "reason": "loss/discriminator/real became nan at step 751."}
        elif (loss, rate, seed) == ("hinge", "1e-4", 2):
            curve = curve[:7]
            state |= {"status": "running"}
        make_curve(row.folder, *row.overrides[:-1], seed=seed, curve=curve, **state)
    Ledger(folder).refresh()
    return folder
