"""Speed of training against loops written by hand and, where a checkout is named, against other frameworks.

    python scripts/benchmark.py [--only sngan wgan_gp] [--mimicry CHECKOUT] [--seconds 5] [--repeats 9] [--out FOLDER]
    python scripts/benchmark.py --part precision  float32 against bf16, on this machine
    python scripts/benchmark.py --part growth     batch size, resolution, size of the data set, processes
    python scripts/benchmark.py --part around     what a whole run spends outside its steps, and how it starts up

All loops of a comparison live in one process and are timed in turns, a few seconds each, so that whatever else the
machine does hits all of them. The figures are medians over the turns; a ratio is the median of the turns' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_loops import Loop, Task, fast, fast_cyclegan, mimicry, plain, plain_cyclegan
from hydra import compose, initialize_config_dir

from ganrun.config.launch import make_game, make_optimizers, make_player_settings
from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.validate import plain as as_plain
from ganrun.config.validate import validate
from ganrun.core.types import Dataset
from ganrun.data.base import Images
from ganrun.data.cache import Decoded
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook
from ganrun.engine.precision import has_bf16_units
from ganrun.engine.settings import TrainerSettings
from ganrun.engine.trainer import Trainer, resolve_device


@dataclass(frozen=True)
class Workload:
    """A comparison.

    Args:
        overrides: what ``ganrun`` is given.
        loss: of the loops written by hand.
        domains: of the data.
        size: side of the images.
        mimicry: name of the same model there.
        by_hand: the loops written by hand, by name.
    """

    overrides: tuple[str, ...]
    loss: str = "nonsaturating"
    domains: int = 1
    size: int = 32
    mimicry: str | None = None
    by_hand: tuple[tuple[str, Callable[[Any, Task], Loop]], ...] = (("plain", plain), ("fast", fast))


FIVE_CRITIC_STEPS = ("loss.critic_steps=5", "optimizer=adam_wgan")
WORKLOADS = {
    "dcgan": Workload(("model=dcgan",)),
    "sngan": Workload(("model=sngan", "loss=hinge", *FIVE_CRITIC_STEPS), "hinge", mimicry="sngan"),
    "wgan_gp": Workload(("model=wgan_gp_resnet", "loss=wgan_gp", *FIVE_CRITIC_STEPS), "wasserstein", mimicry="wgan_gp"),
    "infogan": Workload(("model=infogan",)),
    "cyclegan": Workload(
        ("dataset=unpaired", "trainer.batch_size=1"),
        domains=2,
        size=128,
        by_hand=(("plain", plain_cyclegan), ("fast", fast_cyclegan)),
    ),
}


def main() -> None:
    """Run the part that the command line names; print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("loops", "precision", "growth", "around"), default="loops")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--mimicry", type=Path, help="a checkout of kwotsin/mimicry")
    parser.add_argument("--seconds", type=float, default=5.0, help="of every turn")
    parser.add_argument("--repeats", type=int, default=9, help="turns of every loop")
    parser.add_argument("--threads", type=int, help="of torch; as it chooses without")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark"), help="folder of the JSON files")
    parser.add_argument("--memory-of", nargs=2, metavar=("WORKLOAD", "LOOP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.memory_of:
        return peak_memory(*options.memory_of)
    found = {"loops": loops, "precision": precision, "growth": growth, "around": around}[options.part](options)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.part}.json"
    path.write_text(json.dumps({"machine": machine(), options.part: found}, indent=2) + "\n")
    print(f"{path}", file=sys.stderr)
    return None


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    device = resolve_device("auto")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16 units": has_bf16_units(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def processor() -> str:
    """Name of the CPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def config_of(*overrides: str) -> dict[str, Any]:
    """The configuration of a command line."""
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = as_plain(compose("config", [*overrides, "evaluation=none"]))
    validate(config)
    return config


def noise(size: int, domains: int, count: int = 2048) -> tuple[torch.Tensor, ...]:
    """Images of noise, ``[count, size, size, 3]`` per domain."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, size, size, 3)
    return tuple(torch.randint(256, shape, generator=generator, dtype=torch.uint8) for _ in range(domains))


def as_dataset(images: tuple[torch.Tensor, ...]) -> Dataset:
    """The same images for ``ganrun``."""
    decoded = [Decoded.of(domain.numpy(), None) for domain in images]
    return Images("noise", decoded, 0, "own size", flip=False)


def of_ganrun(config: dict[str, Any], dataset: Dataset, folder: Path) -> Loop:
    """The trainer itself, with its logbook."""
    game = make_game(config, dataset.facts, None)
    settings = TrainerSettings(**config["trainer"] | {"steps": 10**9, "picture_every_steps": 0})
    logbook = Logbook(RunFolder(folder), settings.log_every_steps, config, {})
    trainer = Trainer(settings, 0, dataset, make_optimizers(config), make_player_settings(config), [logbook])
    trainer.game = game
    (stage,) = game.stages()
    trainer._prepare(stage)
    trainer.enter(0, stage)
    trainer.ask("begin")

    def play(steps: int) -> None:
        for _ in range(steps):
            trainer.play_step(game)
            trainer.ask("after_step")

    return play


def task_of(workload: Workload, config: dict[str, Any], images: tuple[torch.Tensor, ...]) -> Task:
    """What the loops written by hand need to know of a configuration."""
    device, optimizer = resolve_device("auto"), config["optimizer"]["generator"]
    return Task(
        images=images,
        batch_size=config["trainer"]["batch_size"],
        critic_steps=config["loss"]["critic_steps"],
        loss=workload.loss,
        lr=optimizer["lr"],
        betas=(float(optimizer["betas"][0]), float(optimizer["betas"][1])),
        device=device,
        bf16=has_bf16_units(device),
    )


def loops_of(name: str, folder: Path, checkout: Path | None) -> dict[str, Callable[[], Loop]]:
    """Name -> what makes a loop."""
    workload = WORKLOADS[name]
    config = config_of(*workload.overrides)
    images = noise(workload.size, workload.domains)
    dataset, task = as_dataset(images), task_of(workload, config, images)

    def fresh() -> Any:
        return make_game(config, dataset.facts, None)

    made: dict[str, Callable[[], Loop]] = {"ganrun": lambda: of_ganrun(config, dataset, folder)}
    for label, write in workload.by_hand:
        made[label] = lambda write=write: write(fresh(), task)  # type: ignore[misc]
    if checkout is not None and workload.mimicry is not None:
        model = workload.mimicry
        made["mimicry"] = lambda: mimicry(checkout, model)(fresh(), task)
    return made


def loops(options: argparse.Namespace) -> dict[str, Any]:
    """Steps per second of every loop, ratios, and peak memory."""
    found: dict[str, Any] = {}
    print(f"{'':10} {'loop':10} {'steps/s':>9} {'ganrun is':>10}   peak memory", flush=True)
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            made = {label: make() for label, make in loops_of(name, Path(folder), options.mimicry).items()}
            rates = in_turns(made, options.seconds, options.repeats)
        memory = {label: measured_memory(name, label, options) for label in made}
        found[name] = {}
        for label, turns in rates.items():
            ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["ganrun"], turns, strict=True))
            found[name][label] = {"steps_per_second": statistics.median(turns), "turns": turns, "ratio": ratio}
            found[name][label]["peak_bytes"] = memory[label]
            line = (
                f"{name:10} {label:10} {statistics.median(turns):9.2f} {ratio:9.2f}x   {memory[label] / 2**30:6.2f} GB"
            )
            print(line, flush=True)
    return found


def precision(options: argparse.Namespace) -> dict[str, Any]:
    """Steps per second of ``ganrun`` in float32 and in bf16."""
    found: dict[str, Any] = {}
    for name in options.only:
        workload = WORKLOADS[name]
        dataset = as_dataset(noise(workload.size, workload.domains))
        with tempfile.TemporaryDirectory() as folder:
            made = {
                kind: of_ganrun(
                    config_of(*workload.overrides, f"trainer.precision={kind}"), dataset, Path(folder, kind)
                )
                for kind in ("fp32", "bf16")
            }
            rates = in_turns(made, options.seconds, options.repeats)
        ratio = statistics.median(fast / slow for slow, fast in zip(rates["fp32"], rates["bf16"], strict=True))
        found[name] = {kind: statistics.median(turns) for kind, turns in rates.items()} | {"ratio": ratio}
        print(
            f"{name:10} fp32 {found[name]['fp32']:8.2f}  bf16 {found[name]['bf16']:8.2f} steps/s  {ratio:5.2f}x",
            flush=True,
        )
    return found


def in_turns(made: dict[str, Loop], seconds: float, repeats: int) -> dict[str, list[float]]:
    """Steps per second in every turn of every loop."""
    steps = {}
    for label, play in made.items():
        play(2)  # warm up: memory, threads, algorithms
        steps[label] = max(1, round(seconds / duration(play, 2) * 2))
    rates: dict[str, list[float]] = {label: [] for label in made}
    for turn in range(repeats):
        order = list(made.items())
        for label, play in order[turn % len(order) :] + order[: turn % len(order)]:  # nobody is always the first
            rates[label].append(steps[label] / duration(play, steps[label]))
    return rates


def duration(play: Loop, steps: int) -> float:
    """Seconds that some steps take, to the last kernel."""
    wait_for_device()
    begin = time.perf_counter()
    play(steps)
    wait_for_device()
    return time.perf_counter() - begin


def wait_for_device() -> None:
    """Let the GPU finish what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measured_memory(name: str, label: str, options: argparse.Namespace) -> int:
    """Peak memory in bytes of a process that plays one loop only: on a GPU the device's, otherwise resident."""
    command = [sys.executable, __file__, "--memory-of", name, label]
    command += ["--mimicry", str(options.mimicry)] if options.mimicry else []
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(told.stdout.split()[-1])


def peak_memory(name: str, label: str) -> None:
    """Play a few steps of one loop and print the peak memory."""
    checkout = sys.argv[sys.argv.index("--mimicry") + 1] if "--mimicry" in sys.argv else None
    with tempfile.TemporaryDirectory() as folder:
        loops_of(name, Path(folder), None if checkout is None else Path(checkout))[label]()(4)
    wait_for_device()
    if torch.cuda.is_available():
        print(torch.cuda.max_memory_allocated())
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """How the time of a step grows: with the batch, the resolution, the size of the data set, the processes."""
    found: dict[str, Any] = {}

    def measure(kind: str, value: int, overrides: list[str], images: tuple[torch.Tensor, ...]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            play = of_ganrun(config_of("model=dcgan", *overrides), as_dataset(images), Path(folder))
            play(2)
            rate = statistics.median(
                steps / duration(play, steps)
                for steps in [max(1, round(options.seconds / duration(play, 2) * 2))] * options.repeats
            )
        found.setdefault(kind, {})[value] = rate
        print(f"{kind:10} {value:>9,} {rate:9.2f} steps/s", flush=True)

    for batch in (16, 32, 64, 128, 256, 512):
        measure("batch", batch, [f"trainer.batch_size={batch}"], noise(32, 1))
    for size in (32, 64, 128):
        measure("resolution", size, [], noise(size, 1))
    for count in (1_000, 10_000, 100_000, 1_000_000):
        with tempfile.NamedTemporaryFile() as file:  # a file with holes: what is never read takes no space
            mapped = np.memmap(file.name, np.uint8, "w+", shape=(count, 32, 32, 3))
            measure("images", count, [], (torch.from_numpy(mapped),))
    found["processes"] = {count: processes(count) for count in (1, 2)}
    return found


def processes(count: int) -> float:
    """Steps per second of a whole run of ``count`` processes on the digits."""
    told = run_folder(
        "model=dcgan", "dataset=digits", "dataset.size=32", f"trainer.devices={count}", "trainer.steps=60"
    )
    rate = float(statistics.median(line["speed/steps_per_second"] for line in told if "speed/steps_per_second" in line))
    print(f"{'processes':10} {count:>9,} {rate:9.2f} steps/s", flush=True)
    return rate


def run_folder(*overrides: str) -> list[dict[str, Any]]:
    """What a run of its own wrote to ``metrics.jsonl``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ganrun", f"run={folder}/run", "evaluation=none", *overrides]
        subprocess.run(command, check=True, capture_output=True)
        return [json.loads(line) for line in (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()]


def around(options: argparse.Namespace) -> dict[str, Any]:
    """Shares of a default run's time by phase, and seconds from the command to the screen."""
    lines = run_folder("model=dcgan", "dataset=digits", "dataset.size=32", "trainer.steps=1000")
    shares: dict[str, float] = {}
    for line in lines:
        for tag, value in line.items():
            if tag.startswith("time/"):
                shares[tag] = shares.get(tag, 0.0) + value
    total = sum(shares.values())
    found = {"shares": {tag: value / total for tag, value in shares.items()}, "startup": startup(options.repeats)}
    for tag, share in found["shares"].items():
        print(f"{tag:30} {share:7.2%}", flush=True)
    for command, seconds in found["startup"].items():
        print(f"{command:30} {seconds:7.2f} s", flush=True)
    return found


BARE = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config): pass
main()
"""


def startup(repeats: int) -> dict[str, float]:
    """Median seconds of commands that train nothing, and of a bare Hydra program."""
    commands = {
        "bare hydra --help": [sys.executable, "-c", BARE, "--help"],
        "ganrun --help": [sys.executable, "-m", "ganrun", "--help"],
        "ganrun with a mistake": [sys.executable, "-m", "ganrun", "trainer.step=3"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, command in commands.items():
                begin = time.perf_counter()
                subprocess.run(command, capture_output=True, cwd=folder, check=False)
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


if __name__ == "__main__":
    main()
