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
    arguments = parser.parse_args()
    sweeps = [path for path in arguments.sweeps if path.is_dir()]
    scores = [str(path) for path in arguments.sweeps if not path.is_dir()]
    runs: dict[str, list[dict[str, float]]] = {}
    reasons: dict[str, str] = {}
    protocols = set()
    for folder in sorted(folder for sweep in sweeps for folder in sweep.iterdir() if folder.is_dir()):
        named = re.search(r"(?:^|[_,])loss=([^,]+)", folder.name)
        assert named is not None, f"{folder.name} names no loss"
        found = last_scores(folder)
        if found is None:
            reasons[named[1]] = reason(folder)
            continue
        runs.setdefault(named[1], []).append(found[0])
        protocols.add(json.dumps({part: found[1].get(part) for part in PROTOCOL}, sort_keys=True))
    assert len(protocols) <= 1, "the scores were made by unlike protocols"
    print(f"| loss | seeds | {' | '.join(scores)} |")
    print("|---" * (len(scores) + 2) + "|")
    for loss, values in sorted(runs.items(), key=lambda item: statistics.mean(run[scores[-1]] for run in item[1])):
        print(f"| `{loss}` | {len(values)} | {' | '.join(_cell([run[name] for run in values]) for name in scores)} |")
    for loss, why in sorted(reasons.items()):
        print(f"\n`{loss}`: {why}")


def _cell(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}"


if __name__ == "__main__":
    main()
