"""Kill a sweep at random moments, start it again each time, and compare it with one that was left alone.

python scripts/kill_sweep.py outputs/killed --kills 2 -- loss=hinge,lsgan seed=0,1,2 hydra.launcher.jobs=2

Everything dies at once by SIGKILL: the sweep, its runs and their server. In the end every score of every run, at every
step, must be that of the undisturbed sweep (on a CPU, to the last bit).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from ganrun.sweep.ledger import Ledger

MARK = "GANRUN_KILL_SWEEP"


def start(folder: Path, overrides: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """A sweep, and what marks its processes."""
    mark = str(uuid.uuid4())
    command = [sys.executable, "-m", "ganrun", "-m", *overrides, f"sweep.folder={folder}"]
    return subprocess.Popen(command, env=os.environ | {MARK: mark}), mark


def kill(process: subprocess.Popen[bytes], mark: str) -> None:
    """End a sweep and all its processes; none lives to see another one's end."""
    everyone = [int(path.name) for path in Path("/proc").glob("[0-9]*") if f"{MARK}={mark}" in environment(path)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for each in everyone:
            os.kill(each, number)
    process.wait()


def environment(process: Path) -> str:
    """Environment variables of a process under ``/proc``; nothing where it is gone or someone else's."""
    try:
        return (process / "environ").read_text(errors="replace")
    except OSError:
        return ""


def ticks(folder: Path) -> int:
    """Lines that all runs have written: how far the sweep is."""
    return sum(len(path.read_text().splitlines()) for path in folder.glob("*/metrics.jsonl"))


def scores(folder: Path) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """Run -> its scores, step by step."""
    return {
        path.parent.name: sorted((entry["step"], entry["scores"]) for entry in json.loads(path.read_text()))
        for path in sorted(folder.glob("*/evaluation.json"))
    }


def states(folder: Path) -> str:
    """How the runs fare, in a line."""
    return ", ".join(f"{row.status} {row.step}" for row in Ledger(folder).rows())


def main() -> int:
    """Run the trial; 0 where nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="new folder for both sweeps")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=None, help="of the moments")
    parser.add_argument("overrides", nargs="+")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    whole, killed = arguments.output / "whole", arguments.output / "killed"
    started = time.monotonic()
    undisturbed, _ = start(whole, arguments.overrides)
    if undisturbed.wait() != 0:
        return 1
    print(f"undisturbed: {time.monotonic() - started:.0f} s, {ticks(whole)} ticks", flush=True)
    started = time.monotonic()
    for number in range(arguments.kills):
        until = rng.randrange(ticks(killed) + 1, ticks(whole) * (number + 1) // (arguments.kills + 1) + 1)
        process, mark = start(killed, arguments.overrides)
        while process.poll() is None and ticks(killed) < until:
            time.sleep(0.02)
        kill(process, mark)
        print(f"killed after {ticks(killed)} ticks: {states(killed)}", flush=True)
    last, _ = start(killed, arguments.overrides)
    code = last.wait()
    print(f"killed {arguments.kills} times: {time.monotonic() - started:.0f} s in all", flush=True)
    same = scores(killed) == scores(whole)
    count = sum(len(values) for values in scores(whole).values())
    print(
        f"{len(scores(whole))} runs, {count} evaluations: " + ("every score is the same" if same else "UNLIKE SCORES")
    )
    return code if same else 1


if __name__ == "__main__":
    sys.exit(main())
