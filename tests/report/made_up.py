"""Run folders as training would leave them, written by hand."""

from __future__ import annotations

import json
from pathlib import Path

from ganrun.metrics.protocol import Stamp

STAMP = Stamp(
    extractor="none",
    extractor_identity="",
    resize="",
    real=0,
    generated=2500,
    split="train",
    quantised="no",
    weights="ema",
    truncation=None,
    seed=0,
    data="22848af6",
    version="0.1.0",
)
LOWER = {"fid": True, "modes": False}


def entry(step: int, scores: dict[str, float], stamp: Stamp = STAMP) -> dict:
    lower = {tag: LOWER[tag] for tag in scores if tag in LOWER}
    return {
        "subject": "anywhere",
        "step": step,
        "stamp": stamp.as_dict(),
        "scores": scores,
        "lower_is_better": lower,
        "time": "2026-11-25T12:00:00+0000",
    }


def tick(step: int, rate: float, memory: float = 0.5) -> str:
    values = {"step": step, "loss/generator/adversarial": 0.7, "speed/steps_per_second": rate}
    return json.dumps(values | {"speed/peak_memory_gib": memory, "time/data": 0.1}) + "\n"


def make_run(
    folder: Path,
    *overrides: str,
    seed: int = 0,
    entries: list[dict] = (),
    ticks: str = "",
    status: str = "finished",
    reason: str = "",
    step: int = 100,
    best: str = "fid",
) -> Path:
    """A run folder; ``overrides`` are those of its command, and ``seed``."""
    folder.mkdir(parents=True)
    state = {"status": status, "step": step, "reason": reason, "best": {"step": step, "metric": best, "value": 1.0}}
    (folder / "status.json").write_text(json.dumps(state))
    (folder / "config.yaml").write_text(f"trainer:\n  seed: 77\nseed: {seed}\n")
    command = ["ganrun", *overrides, f"seed={seed}"]
    (folder / "environment.json").write_text(json.dumps({"commands": [command], "overrides": command[1:]}))
    (folder / "run.log").write_text("said\n")
    if entries:
        (folder / "evaluation.json").write_text(json.dumps(list(entries)))
    if ticks:
        (folder / "metrics.jsonl").write_text(ticks)
    return folder


def make_scored(root: Path, scores: dict[str, list[float]]) -> Path:
    """One run per loss and seed, with these final FIDs, and 1 less half-way."""
    for loss, values in scores.items():
        for seed, value in enumerate(values):
            entries = [entry(50, {"fid": value - 1}), entry(100, {"fid": value, "modes": 8.0})]
            make_run(root / f"{loss}{seed}", f"loss={loss}", seed=seed, entries=entries, ticks=tick(100, 50.0))
    return root
