"""Run folders as training leaves them, with scores that are made up."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from ganrun.core.colours import PADDING_LEVEL
from ganrun.engine.folder import RunFolder
from ganrun.engine.scores import FILE, Entry, remember
from ganrun.metrics.protocol import Stamp
from ganrun.sweep.ledger import Ledger

STAMP = Stamp("random", "none_12345678", "none", 1797, 2500, "train", "uint8", "ema", None, 0, "ab" * 16, "0.1.0")
FID, BETTER = "fid_random", {"fid_random": True, "recall_random": False}


def make_run(
    folder: Path,
    overrides: Sequence[str],
    curve: Sequence[tuple[int, float]],
    status: str = "finished",
    reason: str = "",
    seconds_per_step: float = 0.01,
) -> None:
    """A run whose FID went along ``curve``, with one picture."""
    step = curve[-1][0] if curve else 0
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("seed: " + next(o for o in overrides if o.startswith("seed="))[5:] + "\n")
    command = ["/bin/ganrun", f"run={folder}", *overrides]
    (folder / "environment.json").write_text(json.dumps({"overrides": list(overrides), "commands": [command]}))
    with (folder / "metrics.jsonl").open("w") as lines:
        for at, value in curve:
            entry = {"step": at, f"metric/{FID}": value, "speed/steps_per_second": 1 / seconds_per_step}
            lines.write(json.dumps(entry | {"speed/peak_memory_gib": 0.5}) + "\n")
            if math.isfinite(value):
                scores = {FID: value, "recall_random": 1 / (1 + value)}
                remember(Entry(str(folder), at, STAMP, scores, BETTER), folder / FILE)
    best = min((value for _, value in curve), default=math.nan)
    run.write_status(status, step, reason, {"step": step, "metric": FID, "value": best} if curve else None)
    if curve:
        draw_grid(folder / "samples" / f"generated_{step:08d}.png", seed=len(folder.name))


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
    jobs = [
        [f"loss={loss}", f"optimizer.generator.lr={rate}", f"seed={seed}", "dataset=digits"]
        for loss, rate, seed in product(("wgan", "wgan_gp", "hinge", "nonsaturating"), ("1e-4", "4e-4"), (0, 1, 2))
    ]
    swept = ["loss", "optimizer.generator.lr", "seed"]
    floors = {"wgan": 30, "wgan_gp": 8, "hinge": 8.4, "nonsaturating": 14}
    for number, row in enumerate(Ledger(folder).add(jobs, swept)):
        loss, rate, seed = (override.partition("=")[2] for override in row.overrides[:3])
        random = np.random.default_rng(number)
        floor = floors[loss] * (1.3 if rate == "4e-4" else 1) * random.uniform(0.9, 1.1)
        curve = [
            (at, floor * (1 + 9 * math.exp(-at / 700)) * random.uniform(0.97, 1.03)) for at in range(250, 3001, 250)
        ]
        seconds = {"wgan": 0.05, "wgan_gp": 0.09}.get(loss, 0.02) * random.uniform(0.95, 1.05)
        if loss == "wgan" and rate == "4e-4":
            if seed != "0":
                continue
            reason = "loss/discriminator/real became nan at step 751. Start a new run with lower learning rates."
            make_run(row.folder, row.overrides, curve[:3], "failed", reason, seconds)
        elif (loss, rate, seed) == ("hinge", "1e-4", "2"):
            make_run(row.folder, row.overrides, curve[:7], "running", seconds_per_step=seconds)
        else:
            make_run(row.folder, row.overrides, curve, seconds_per_step=seconds)
    Ledger(folder).refresh()
    return folder
