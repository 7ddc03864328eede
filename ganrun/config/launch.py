"""From a checked configuration and a folder to a trained run, in one process or several."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor
from tqdm import tqdm

from ganrun.config.build import build, data_context
from ganrun.config.compatibility import check_facts, resolve_auto, warnings
from ganrun.config.origin import Origin, hyperparameters, since_the_beginning
from ganrun.core.errors import ConfigError, GanrunError, RunError
from ganrun.core.facts import Facts
from ganrun.core.types import Dataset, parameter_count
from ganrun.engine import checkpoint, cpu, distributed
from ganrun.engine.checkpoint import Checkpoints
from ganrun.engine.evaluator import Evaluator
from ganrun.engine.folder import RunFolder, disk_trouble
from ganrun.engine.logbook import Logbook
from ganrun.engine.painter import Painter
from ganrun.engine.player import OptimizerFactory
from ganrun.engine.seeding import reseed
from ganrun.engine.settings import (
    AverageSettings,
    EvaluationSettings,
    PlayerSettings,
    TrainerSettings,
    WatchdogSettings,
)
from ganrun.engine.signals import stop_on_signals
from ganrun.engine.trainer import Helper, Stopped, Trainer, resolve_device
from ganrun.engine.watchdog import Watchdog
from ganrun.games.base import Game

log = logging.getLogger(__name__)


class StoppedEarlyError(RunError):
    """The watchdog ended a run; everything was saved, and the folder says why."""


def train(config: dict[str, Any], folder: Path, origin: Origin) -> float | None:
    """Train a run, or go on with it when ``folder`` holds one.

    Args:
        config: resolved and checked configuration, plain containers only.
        folder: the run folder.
        origin: what the configuration was made from.

    Returns:
        The best value of the selecting metric, for a sweeper; ``None`` without one.

    Raises:
        GanrunError: something that the user can mend.
        KeyboardInterrupt: stopped by Ctrl-C, with everything saved.
        SystemExit: stopped by SIGTERM, with everything saved.
    """
    devices = config["trainer"]["devices"]
    if devices > 1 and "RANK" not in os.environ:
        return spawn(config, folder, origin, devices)
    with distributed.process_group(resolve_device(config["trainer"]["device"]).type):
        return train_in_process(config, RunFolder(folder), origin)


def spawn(config: dict[str, Any], folder: Path, origin: Origin, devices: int) -> float | None:
    """Start one process per device inside this job and wait for them."""
    address = distributed.free_address()
    results = mp.get_context("spawn").SimpleQueue()
    arguments = (devices, address, config, folder, origin, results)
    processes = mp.start_processes(_rank, args=arguments, nprocs=devices, join=False, start_method="spawn")

    def ask() -> None:
        for process in processes.processes:
            if process.is_alive():
                os.kill(process.pid, signal.SIGTERM)

    with stop_on_signals(ask) as stopped:
        try:
            while not processes.join():
                pass
        except (mp.ProcessRaisedException, mp.ProcessExitedException) as error:
            if not stopped.signal and results.empty():  # otherwise the main process has said what came of it
                reason = str(error).strip().splitlines()[-1]
                raise RunError(f"a process died ({reason}). Go on with: ganrun run={folder}") from error
    if stopped.signal:
        stopped.raise_for_caller()
    outcome = results.get()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _rank(
    rank: int,
    devices: int,
    address: dict[str, str],
    config: dict[str, Any],
    folder: Path,
    origin: Origin,
    results: Any,
) -> None:
    """One of the processes that :func:`spawn` starts."""
    os.setpgrp()  # a terminal's Ctrl-C reaches the parent only, which asks every process once
    tqdm.set_lock(threading.RLock())  # bars of this process only; a semaphore would outlive its hard end below
    os.environ |= address | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(devices), "LOCAL_WORLD_SIZE": str(devices)}
    if rank == 0:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        file = logging.FileHandler(folder / "run.log")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger().addHandler(file)
    outcome: Any = None
    try:
        outcome = train(config, folder, origin)
    except GanrunError as error:
        outcome = error
    except (SystemExit, KeyboardInterrupt):
        pass  # stopped as asked
    if rank == 0:
        results.put(outcome)
    logging.shutdown()
    os._exit(0)  # tearing down the interpreter beside the process group's threads was seen to abort now and then


def train_in_process(config: dict[str, Any], folder: RunFolder, origin: Origin) -> float | None:
    """Train with this process as one of those that the process group names."""
    if not distributed.is_main():
        logging.disable()  # the main process tells what happens
        return _train(config, folder, origin)
    with folder.locked():
        try:
            return _train(config, folder, origin)
        except StoppedEarlyError:
            raise  # the folder says so already
        except Exception as error:
            told = disk_trouble(error, f"Mend that and go on with: ganrun run={folder.path}") or error
            reason = str(told) if isinstance(told, GanrunError) else f"{type(told).__name__}: {told}"
            with contextlib.suppress(OSError):  # where nothing can be written, the message must do
                folder.write_status("failed", last_step(folder), reason)
            raise told from (error if told is error else None)


def last_step(folder: RunFolder) -> int:
    """Step of the newest checkpoint; 0 without one."""
    paths = folder.list_checkpoints()
    return checkpoint.step_of(paths[-1]) if paths else 0


def _train(config: dict[str, Any], folder: RunFolder, origin: Origin) -> float | None:
    settings = TrainerSettings(**config["trainer"])
    cpu.prepare(resolve_device(settings.device), settings.threads)
    dataset = distributed.local_work_first(lambda: build(config["dataset"], path="dataset"))
    log.info("data: %s", dataset.facts.description)
    game = make_game(config, dataset.facts, the_image(dataset))
    for line in warnings(config):
        log.warning("%s", line)
    state = distributed.local_work(lambda: checkpoint.newest(folder))
    if state is not None:
        check_same_data(state, dataset, folder)
        check_not_backwards(state, settings.steps, folder)
    if (
        state is not None
        and folder.state().get("status") == "finished"
        and state["config"]["trainer"]["steps"] == settings.steps
    ):
        log.info("%s has had its %d steps; extend it with trainer.steps=N", folder.path, settings.steps)
        best: float | None = state["best"].get("value")
        return best
    origin = since_the_beginning(origin, folder)
    logbook = Logbook(folder, settings.log_every_steps, config, hyperparameters(origin, config["seed"]))
    watchdog = WatchdogSettings(**config["watchdog"])
    if watchdog.action != "none":
        logbook.watchdog = Watchdog(watchdog, folder, logbook)
    checkpoints = Checkpoints(folder, settings.checkpoint_every_steps, settings.keep_checkpoints, config, logbook)
    evaluator = Evaluator(make_evaluation(config), split_of(config["dataset"]), logbook)
    painter = Painter(folder, settings.picture_every_steps, settings.picture_samples, logbook)
    trainer = Trainer(
        settings=settings,
        seed=config["seed"],
        dataset=dataset,
        optimizers=make_optimizers(config),
        players=make_player_settings(config),
        helpers=[evaluator, *make_reporter(config["sweep"]), painter, logbook, checkpoints],
        checkpoint=state,
    )
    announce(trainer, game, folder, state)
    if distributed.is_main():
        folder.write_config(config)
        folder.write_environment(dataset.facts, device_name(trainer.device), origin.as_dict())
        folder.write_status("running", 0 if state is None else state["step"])
    return fit(trainer, game, folder, logbook, checkpoints)


def check_same_data(state: dict[str, Any], dataset: Dataset, folder: RunFolder) -> None:
    """A run goes on with the data it began with.

    Raises:
        RunError: the data have another fingerprint.
    """
    before = state["facts"]
    if before["fingerprint"] != dataset.facts.fingerprint:
        raise RunError(
            f"the data are not those that {folder.path} was trained on: it had {before['description']}; "
            f"now there are {dataset.facts.description}. Bring them back, or start a new run."
        )


def check_not_backwards(state: dict[str, Any], steps: int, folder: RunFolder) -> None:
    """A run cannot be shortened.

    Raises:
        RunError: the stage has had more than ``steps`` already.
    """
    had = state["step"] - state["stage_start"]
    if had > steps:
        raise RunError(
            f"{folder.path} has had {had} steps, and trainer.steps={steps} would go back. Ask for {had} or more; "
            f"pictures of an earlier state: ganrun sample run={folder.path} step=N"
        )


def fit(trainer: Trainer, game: Game, folder: RunFolder, logbook: Logbook, checkpoints: Checkpoints) -> float | None:
    """Train, and leave the folder in a state that says how it ended."""
    finished = False

    with stop_on_signals(lambda: trainer.stop("")) as request:
        try:
            trainer.fit(game)
            finished = True
        except Stopped:
            checkpoints.finish(trainer)
            if trainer.stop_status == "stopped":
                log.warning("stopped at step %d; go on with: ganrun run=%s", trainer.step, folder.path)
        finally:
            with contextlib.suppress(OSError):  # on a full disk the first error is the one to tell
                logbook.close(finished)
        if distributed.is_main():
            status = "finished" if finished else trainer.stop_status
            folder.write_status(status, trainer.step, trainer.stop_reason, trainer.best)
    if trainer.stop_status == "pruned":
        log.info("%s", trainer.stop_reason)
        return trainer.best.get("value")
    if trainer.stop_reason:
        raise StoppedEarlyError(f"{trainer.stop_reason} Everything is saved in {folder.path}.")
    if not finished:
        request.raise_for_caller()
    log.info("finished at step %d: %s", trainer.step, folder.path)
    return trainer.best.get("value")


def make_game(config: dict[str, Any], facts: Facts, image: Tensor | None) -> Game:
    """Build the game on the facts of the data, from the run's seed.

    Args:
        config: checked configuration; ``norm: auto`` is resolved in place.
        facts: of the data.
        image: the image of a single-image data set.

    Raises:
        ConfigError: the data do not fit the networks.
    """
    if problems := check_facts(config, facts):
        raise ConfigError(problems)
    for line in resolve_auto(config):
        log.info(line)
    reseed("networks", config["seed"])
    augment = build(config["augment"], path="augment")
    objective = build(config["loss"], {"augment": augment}, path="loss")
    context = data_context(facts) | {"image": image, "objective": objective, "augment": augment}
    game: Game = build(config["model"], context, path="model")
    game.class_names = facts.class_names
    return game


def the_image(dataset: Dataset) -> Tensor | None:
    """The image of a single-image data set, ``[1, C, H, W]``; ``None`` for others."""
    return dataset.examples(1).real if "single_image" in dataset.facts.provides else None


def make_optimizers(config: dict[str, Any]) -> dict[str, OptimizerFactory]:
    """Player -> function that makes its optimizer from parameters."""
    return {name: build(node, partial=True, path=f"optimizer.{name}") for name, node in config["optimizer"].items()}


def make_player_settings(config: dict[str, Any]) -> dict[str, PlayerSettings]:
    """Player -> schedule, clipping, averaging."""
    settings = {}
    for name, node in config["player"].items():
        built = build(node, path=f"player.{name}")
        average = None if built["ema"] is None else AverageSettings(**built["ema"])
        settings[name] = PlayerSettings(**(built | {"ema": average}))
    return settings


def make_evaluation(config: dict[str, Any]) -> EvaluationSettings:
    """Metrics, their feature extractor and their interval."""
    return EvaluationSettings(**build(config["evaluation"], path="evaluation"))


def make_reporter(sweep: dict[str, Any]) -> list[Helper]:
    """What a trial of a search has besides."""
    if sweep["folder"] is None or sweep["trial"] is None:
        return []
    from ganrun.sweep.trial import Reporter  # imports Optuna

    return [Reporter(Path(sweep["folder"]), sweep["trial"])]


def split_of(dataset: dict[str, Any]) -> str:
    """Which part of the data a data set's configuration names."""
    return str(dataset.get("split") or dataset.get("subfolder") or "train")


def announce(trainer: Trainer, game: Game, folder: RunFolder, state: dict[str, Any] | None) -> None:
    """Say what is about to happen."""
    if state is None:
        log.info("new run: %s", folder.path)
    else:
        log.info("going on from step %d of %s", state["step"], folder.path)
    sizes = ", ".join(
        f"{name} {parameter_count(child):,}" for name, child in game.named_children() if parameter_count(child)
    )
    log.info("%s%s", type(game).__name__, f": {sizes} parameters" if sizes else "")
    log.info("%s, %s, seed %d", device_name(trainer.device), trainer.precision, trainer.seed)


def device_name(device: torch.device) -> str:
    """What a person calls the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.get_num_threads()} threads)"
