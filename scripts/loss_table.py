"""A table of the losses of one or several sweeps: mean and deviation over seeds of the last scores, as Markdown.

ganrun -m 'loss=glob(*)' dataset=ring seed=0,1,2 name=losses ...
python scripts/loss_table.py outputs/.../..._losses_sweep modes high_quality wasserstein
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

PROTOCOL = ("extractor", "extractor_identity", "generated", "real", "weights", "data", "settings")
"""Parts of a stamp that must agree, so that only like scores stand in one column."""


def last_scores(folder: Path) -> tuple[dict[str, float], dict[str, Any]] | None:
    """Scores and stamp of the last evaluation of a run; ``None`` where there was none."""
    path = folder / "evaluation.json"
    if not path.exists():
        return None
    entry = max(json.loads(path.read_text()), key=lambda entry: entry["step"])
    return entry["scores"], entry["stamp"]


def reason(folder: Path) -> str:
    """Why a run has no scores, in a line."""
    failures = folder.parent / "failures.jsonl"
    told = [json.loads(line) for line in failures.read_text().splitlines()] if failures.exists() else []
    texts = [failure["reason"] for failure in told if failure["folder"] == str(folder)]
    return texts[0].splitlines()[-1].strip(" -") if texts else "did not finish"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="+", type=Path, help="folders of sweeps, then names of scores")
    parser.add_argument("--picture", type=Path, help="write the last pictures of the first seed of every loss here")
    parser.add_argument("--crop", type=float, nargs=4, default=[0, 0, 1, 1], help="left top right bottom, as shares")
    arguments = parser.parse_args()
    sweeps = [path for path in arguments.sweeps if path.is_dir()]
    scores = [str(path) for path in arguments.sweeps if not path.is_dir()]
    runs: dict[str, list[dict[str, float]]] = {}
    reasons: dict[str, str] = {}
    pictures: dict[str, Path] = {}
    protocols = set()
    for folder in (folder for sweep in sweeps for folder in sorted(sweep.iterdir()) if folder.is_dir()):
        named = re.search(r"(?:^|[_,])loss=([^,]+)", folder.name)
        assert named is not None, f"{folder.name} names no loss"
        found = last_scores(folder)
        if found is None:
            reasons[named[1]] = reason(folder)
            continue
        runs.setdefault(named[1], []).append(found[0])
        if found[1]["seed"] == 0:
            pictures[named[1]] = sorted(folder.glob("samples/generated_*.png"))[-1]
        protocols.add(json.dumps({part: found[1].get(part) for part in PROTOCOL}, sort_keys=True))
    assert len(protocols) <= 1, "the scores were made by unlike protocols"
    print(f"| loss | seeds | {' | '.join(scores)} |")
    print("|---" * (len(scores) + 2) + "|")
    for loss, values in sorted(runs.items(), key=lambda item: statistics.mean(run[scores[-1]] for run in item[1])):
        print(f"| `{loss}` | {len(values)} | {' | '.join(_cell([run[name] for run in values]) for name in scores)} |")
    for loss in sorted(reasons.keys() - runs.keys()):
        print(f"\n`{loss}`: {reasons[loss]}")
    if arguments.picture is not None:
        canvas = FigureCanvasAgg(_draw(pictures, arguments.crop))
        canvas.draw()
        Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(64).save(arguments.picture, optimize=True)


def _draw(pictures: dict[str, Path], crop: list[float]) -> Figure:
    """One picture per loss, in alphabetical order."""
    columns = 6
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2 * columns, 2.25 * rows), dpi=80, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for place in axes:
        place.axis("off")
    for place, (loss, path) in zip(axes, sorted(pictures.items()), strict=False):
        image = imread(path)
        height, width = image.shape[:2]
        left, top, right, bottom = (round(share * side) for share, side in zip(crop, [width, height] * 2, strict=True))
        place.imshow(image[top:bottom, left:right])
        place.set_title(loss, fontsize=11)
    return figure


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}"


if __name__ == "__main__":
    main()
