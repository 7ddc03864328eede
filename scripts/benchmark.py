"""Speed of training against loops written by hand and, where a checkout is named, against other frameworks.

    python scripts/benchmark.py [--only sngan wgan_gp] [--mimicry CHECKOUT] [--pytorch-gan CHECKOUT] [--out FOLDER]
    python scripts/benchmark.py --part precision  float32 against bf16, on this machine
    python scripts/benchmark.py --part growth     batch, resolution, size of the data set, streamed data, processes
    python scripts/benchmark.py --part around     what a whole run spends outside its steps, and how it starts up

Every loop of a comparison has a process of its own, and the processes are timed in turns, a few seconds each, so that
whatever else the machine does hits all of them. The figures are medians over the turns; a ratio is the median of the
turns' ratios. A comparison takes about --limit seconds, longer where a few turns of single steps do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_loops import Loop, Task, captured, fast, plain
from benchmark_peers import MIMICRY, PYTORCH_GAN, mimicry, pytorch_gan
from benchmark_processes import Maker, Measured, in_turns, peak_flops, say
from hydra import compose, initialize_config_dir

import ganrun.data.storage
from ganrun.config.launch import make_game, make_optimizers, make_player_settings
from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.validate import plain as as_plain
from ganrun.config.validate import validate
from ganrun.core.types import Dataset
from ganrun.data.base import Images
from ganrun.data.cache import Decoded
from ganrun.engine import cpu
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
    """

    overrides: tuple[str, ...]
    loss: str = "nonsaturating"
    domains: int = 1
    size: int = 32


FIVE_CRITIC_STEPS = ("loss.critic_steps=5", "optimizer=adam_wgan")
WORKLOADS = {
    "dcgan": Workload(("model=dcgan",)),
    "sngan": Workload(("model=sngan", "loss=hinge", *FIVE_CRITIC_STEPS), "hinge"),
    "wgan_gp": Workload(("model=wgan_gp_resnet", "loss=wgan_gp", *FIVE_CRITIC_STEPS), "wasserstein"),
    "infogan": Workload(("model=infogan",)),
    "cyclegan": Workload(("dataset=unpaired", "trainer.batch_size=1"), domains=2, size=128),
}
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCHES = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Job:
    """What a process plays.

    Args:
        workload: a key of :data:`WORKLOADS`.
        loop: ``ganrun``, ``plain``, ``fast``, ``captured``, ``mimicry``, ``pytorch_gan``: with its own networks, or
            ``pytorch_gan_same``: with ours.
        checkout: of the peer.
        overrides: more of what ``ganrun`` is given.
        size: side of the images; ``None``: the workload's.
        images: in every domain; more than are made of noise are a file of zeros.
        streamed: whether ``ganrun`` streams them as if they did not fit.
    """

    workload: str
    loop: str = "ganrun"
    checkout: Path = Path()
    overrides: tuple[str, ...] = ()
    size: int | None = None
    images: int = 2048
    streamed: bool = False

    def __call__(self, countable: bool) -> Loop:
        """The loop; if ``countable``, one that is not captured."""
        workload = WORKLOADS[self.workload]
        config = config_of(*workload.overrides, *self.overrides)
        images = make_images(self.size or workload.size, workload.domains, self.images)
        dataset = as_dataset(images)
        if self.streamed:
            ganrun.data.storage._SHARE = 0.0
        if self.loop == "ganrun":
            cpu.prepare(resolve_device("auto"), config["trainer"]["threads"])
            if countable:
                config["trainer"]["capture"] = "never"
            return of_ganrun(config, dataset, Path.cwd() / f"run{countable}")
        task = task_of(workload, config, images)
        if self.loop == "mimicry":
            return mimicry(self.checkout, self.workload, task)
        if self.loop == "pytorch_gan":
            return pytorch_gan(self.checkout, self.workload, task)
        game = make_game(config, dataset.facts, None)
        if self.loop == "pytorch_gan_same":
            return pytorch_gan(self.checkout, self.workload, task, game)
        return {"plain": plain, "fast": fast, "captured": fast if countable else captured}[self.loop](game, task)


def main() -> None:
    """Run the part that the command line names; print a table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("loops", "precision", "growth", "around"), default="loops")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--loops", nargs="+", help="only these: ganrun, plain, fast, ...")
    parser.add_argument("--mimicry", type=Path, help="a checkout of kwotsin/mimicry")
    parser.add_argument("--pytorch-gan", type=Path, help="a checkout of eriklindernoren/PyTorch-GAN")
    parser.add_argument("--seconds", type=float, default=5.0, help="of every turn, which is at least one step")
    parser.add_argument("--repeats", type=int, default=9, help="turns of every loop")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for a comparison's turns; three are made")
    parser.add_argument("--threads", type=int, help="of torch; as it chooses without")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark"), help="folder of the JSON files")
    options = parser.parse_args()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # of the processes
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.part}.json"
    for found in {"loops": loops, "precision": precision, "growth": growth, "around": around}[options.part](options):
        path.write_text(json.dumps({"machine": machine(), options.part: found}, indent=2) + "\n")  # what there is yet
    say(f"{path}")


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


def make_images(size: int, domains: int, count: int) -> tuple[torch.Tensor, ...]:
    """Images, ``[count, size, size, 3]`` per domain: of noise in memory, or many in a file of the current folder."""
    shape = (count, size, size, 3)
    if count > 2048:  # a file with holes, which takes no space on the disk
        files = (np.memmap(f"{domain}.bin", np.uint8, "w+", shape=shape) for domain in range(domains))
        return tuple(torch.from_numpy(file) for file in files)
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randint(256, shape, generator=generator, dtype=torch.uint8) for _ in range(domains))


def as_dataset(images: tuple[torch.Tensor, ...]) -> Dataset:
    """The same images for ``ganrun``."""
    decoded = [Decoded(domain.numpy(), None, digest="noise") for domain in images]
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


def loops_of(name: str, options: argparse.Namespace) -> dict[str, Maker]:
    """Label -> what makes a loop."""
    labels = ["ganrun", "plain", "fast"] + ["captured"] * torch.cuda.is_available()
    jobs = {label: Job(name, label) for label in labels}
    if options.mimicry and name in MIMICRY:
        jobs["mimicry"] = Job(name, "mimicry", options.mimicry.resolve())
    if options.pytorch_gan and name in PYTORCH_GAN:
        jobs["pytorch_gan"] = Job(name, "pytorch_gan", options.pytorch_gan.resolve())
        if name != "cyclegan":  # whose networks there are as ours
            jobs["pytorch_gan_same"] = replace(jobs["pytorch_gan"], loop="pytorch_gan_same")
    return {label: job for label, job in jobs.items() if options.loops is None or label in options.loops}


def announce(count: int, options: argparse.Namespace) -> None:
    """Say beforehand how long it may take."""
    each = options.limit / 60
    say(
        f"{count} comparisons, each of turns for at most {each:.1f} minutes, or of three where steps take longer, "
        f"and of starting and warming up: about {count * (each + 1):.0f} minutes"
    )


def turns(makers: dict[str, Maker], options: argparse.Namespace) -> dict[str, Measured]:
    """Measure as the command line asks."""
    return in_turns(makers, options.seconds, options.repeats, options.limit)


def loops(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Steps per second of every loop, ratios, operations per second and peak memory."""
    device = resolve_device("auto")
    announce(len(options.only), options)
    peaks = {
        kind: peak_flops(dtype, device) for kind, dtype in KINDS.items() if kind != "bf16" or has_bf16_units(device)
    }
    peak = max(peaks.values())
    print(", ".join(f"{kind} at most: {value / 1e9:,.0f} GFLOP/s" for kind, value in peaks.items()))
    print(f"{'':10} {'loop':16} {'steps/s':>9} {'GFLOP/step':>11} {'of peak':>8} {'memory':>9} {'ganrun is':>10}")
    found: dict[str, Any] = {"peak_flops": peaks}
    for name in options.only:
        say(name)
        measured = turns(loops_of(name, options), options)
        found[name] = {label: described(loop, peak) for label, loop in measured.items()}
        for label, loop in measured.items():
            ratio = measured["ganrun"].ratio(loop) if "ganrun" in measured else float("nan")
            found[name][label]["ratio"] = ratio
            print(f"{name:10} {label:16} {row(loop, peak)} {ratio:9.2f}x", flush=True)
        yield found


def row(loop: Measured, peak: float) -> str:
    """A loop's speed, operations, share of what the machine can do, and memory."""
    share = loop.flops * loop.rate / peak
    return f"{loop.rate:9.2f} {loop.flops / 1e9:11,.1f} {share:8.1%} {loop.peak_bytes / 2**30:6.2f} GB"


def described(loop: Measured, peak: float) -> dict[str, Any]:
    """A loop's entry in the JSON file."""
    return {
        "steps_per_second": loop.rate,
        "turns": loop.rates,
        "flops_per_step": loop.flops,
        "share_of_peak": loop.flops * loop.rate / peak,
        "peak_bytes": loop.peak_bytes,
    }


def precision(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Steps per second of ``ganrun`` in float32 and in bf16."""
    announce(len(options.only), options)
    found: dict[str, Any] = {}
    for name in options.only:
        say(name)
        measured = turns({kind: Job(name, overrides=(f"trainer.precision={kind}",)) for kind in KINDS}, options)
        ratio = measured["bf16"].ratio(measured["fp32"])
        found[name] = {kind: loop.rate for kind, loop in measured.items()} | {"ratio": ratio}
        rates = "  ".join(f"{kind} {loop.rate:8.2f}" for kind, loop in measured.items())
        print(f"{name:10} {rates} steps/s  {ratio:5.2f}x", flush=True)
        yield found


def growth(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """How DCGAN's cost grows: with the batch, the resolution, the size of the data set, the processes."""
    peak = max(peak_flops(dtype, resolve_device("auto")) for dtype in KINDS.values())
    dcgan = Job("dcgan")
    groups = {
        "batch": {f"{size}": replace(dcgan, overrides=(f"trainer.batch_size={size}",)) for size in BATCHES},
        "resolution": {f"{size}": replace(dcgan, size=size) for size in (32, 64, 128)},
        "images": {f"{count:,}": replace(dcgan, images=count) for count in (1_000, 10_000, 100_000, 1_000_000)},
        "data": {kind: replace(dcgan, images=100_000, streamed=kind == "streamed") for kind in ("held", "streamed")},
    }
    announce(len(groups), options)
    found: dict[str, Any] = {}
    for group, jobs in groups.items():
        say(group)
        measured = turns(dict(jobs), options)
        found[group] = {label: described(loop, peak) for label, loop in measured.items()}
        for label, loop in measured.items():
            print(f"{group:10} {label:>9} {row(loop, peak)}", flush=True)
        yield found
    possible = torch.cuda.device_count() if torch.cuda.is_available() else 2
    found["processes"] = {count: processes(count) for count in (1, 2) if count <= possible}
    yield found


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


def around(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Shares of a default run's wall time by phase, and seconds from the command to the screen.

    On CUDA the phases of a step are the host's time; what is missing to 100 % it waits for the device.
    """
    lines = run_folder("model=dcgan", "dataset=digits", "dataset.size=32", "trainer.steps=1000")
    seconds: dict[str, float] = {}
    total, step = 0.0, 0
    for line in lines:
        if "speed/steps_per_second" in line:
            tick = (line["step"] - step) / line["speed/steps_per_second"]
            total, step = total + tick, line["step"]
            for tag, share in line.items():
                if tag.startswith("time/"):
                    seconds[tag] = seconds.get(tag, 0.0) + share * tick
    found = {"shares": {tag: part / total for tag, part in seconds.items()}, "startup": startup(options.repeats)}
    for tag, share in found["shares"].items():
        print(f"{tag:30} {share:7.2%}", flush=True)
    for command, duration in found["startup"].items():
        print(f"{command:30} {duration:7.2f} s", flush=True)
    yield found


BARE = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config): pass
main()
"""


def startup(repeats: int) -> dict[str, float]:
    """Median seconds of commands that train next to nothing, and of a bare Hydra program."""
    commands = {
        "bare hydra --help": [sys.executable, "-c", BARE, "--help"],
        "ganrun --help": [sys.executable, "-m", "ganrun", "--help"],
        "ganrun with a mistake": [sys.executable, "-m", "ganrun", "trainer.step=3"],
        "ganrun with one step": [sys.executable, "-m", "ganrun", "trainer.steps=1", "evaluation=none"],
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
