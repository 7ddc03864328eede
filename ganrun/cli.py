"""The command ``ganrun``: its verbs, and how its errors are told. The only place with Hydra apps."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ganrun import __version__
from ganrun.config.extras import ignore_schema_warnings
from ganrun.config.paths import conf_folder, register_resolvers
from ganrun.config.preflight import one_line, preflight, quoted, with_positional
from ganrun.config.resume import resolve
from ganrun.config.runs import with_saved
from ganrun.config.sweeps import gpus_for, is_held_back, with_sweep_folder
from ganrun.config.validate import plain, validate
from ganrun.config.words import did_you_mean, listing, sentences
from ganrun.core.errors import GanrunError, RunError
from ganrun.engine.folder import RunFolder, disk_trouble
from ganrun.sweep.launcher import train_for_another_launcher

log = logging.getLogger(__name__)

PATHS = ("run", "runs", "generated", "input", "layout", "output", "folder", "sweep.folder")
"""Keys whose values are paths."""

QUOTES = "'\""

register_resolvers()
ignore_schema_warnings()


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")
def train(config: DictConfig) -> float | None:
    """Train a run, of a sweep or not."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if job.mode == RunMode.MULTIRUN and job.runtime.choices["hydra/launcher"] != "basic":  # which is for debuggers
        return train_for_another_launcher(job, folder)
    with _recorded(folder) if job.mode == RunMode.MULTIRUN else _told_errors():
        final = resolve(config, list(job.overrides.task))
        validate(final)
        if is_held_back(final["sweep"]):
            log.warning("not started: another run of the sweep has failed, and sweep.on_error=stop")
            return None
        with gpus_for(final):
            from ganrun.config import launch  # imports torch
            from ganrun.config.origin import Origin

            return launch.train(final, folder, Origin.of_this_job())


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="sample")
def sample(config: DictConfig) -> None:
    """Make pictures from a trained run."""
    with _told_errors():
        from ganrun.config.sample import sample as draw  # imports torch

        draw(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="evaluate")
def evaluate(config: DictConfig) -> None:
    """Score trained runs, or images made by any program."""
    with _told_errors():
        from ganrun.config.evaluate import evaluate as score  # imports torch
        from ganrun.config.evaluate import evaluate_all

        settings = plain(config)
        if settings["runs"] is None:
            score(settings)
        else:
            evaluate_all(settings, list(HydraConfig.get().overrides.task))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="neighbours")
def neighbours(config: DictConfig) -> None:
    """Draw samples of a trained run beside the training images nearest to them."""
    with _told_errors():
        from ganrun.config.neighbours import neighbours as draw  # imports torch

        draw(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="reconstruct")
def reconstruct(config: DictConfig) -> None:
    """Draw images above what a trained run makes of them."""
    with _told_errors():
        from ganrun.config.reconstruct import reconstruct as draw  # imports torch

        draw(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="translate")
def translate(config: DictConfig) -> None:
    """Turn images into others by a trained run."""
    with _told_errors():
        from ganrun.config.translate import translate as write  # imports torch

        write(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="interpolate")
def interpolate(config: DictConfig) -> None:
    """Draw samples on the way from one latent to another."""
    with _told_errors():
        from ganrun.config.interpolate import interpolate as draw  # imports torch

        draw(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="truncation")
def truncation(config: DictConfig) -> None:
    """Score a trained run at several truncations of its latents."""
    with _told_errors():
        from ganrun.config.truncation import truncation as sweep  # imports torch

        sweep(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="export")
def export(config: DictConfig) -> None:
    """Write the generator of a trained run."""
    with _told_errors():
        from ganrun.config.export import export as write  # imports torch

        write(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="report")
def report(config: DictConfig) -> None:
    """Compare runs."""
    with _told_errors():
        from ganrun.config.report import report as compare  # imports scipy and matplotlib

        compare(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="demo")
def demo(config: DictConfig) -> None:
    """Play a small game whose truth is known."""
    with _told_errors():
        from ganrun.config.demo import demo as play  # imports torch

        play(plain(config))


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="watch")
def watch(config: DictConfig) -> None:
    """Show how a sweep that runs elsewhere fares."""
    with _told_errors():
        from ganrun.sweep.table import watch as show

        settings = plain(config)
        show(Path(settings["folder"]), settings["patience"])


@contextlib.contextmanager
def _told_errors() -> Iterator[None]:
    """Log what the user can mend, in the run folder too, and leave."""
    try:
        yield
    except GanrunError as error:
        log.error("%s", error)
        raise SystemExit(1) from None


@contextlib.contextmanager
def _recorded(folder: Path) -> Iterator[None]:
    """Leave a failure in the run folder, where the sweep finds it, whichever process this is."""
    try:
        yield
    except Exception as error:
        is_mistake = isinstance(error, GanrunError)
        reason = str(error) if is_mistake else f"{type(error).__name__}: {error}"
        log.error("failed: %s", reason, exc_info=not is_mistake)
        RunFolder(folder).record_failure(reason)
        raise


class Verb(NamedTuple):
    """One of the command's verbs.

    Args:
        app: its Hydra app.
        config: name of its primary configuration.
        schema: class of :mod:`ganrun.config.schema`.
        saved: groups that start from what the named run was trained with.
        positional: key that words without an equal sign, and paths, are collected under.
    """

    app: Callable[[], Any]
    config: str
    schema: str
    saved: tuple[str, ...] = ()
    positional: str | None = None


VERBS = {
    "train": Verb(train, "config", "RunConfig"),
    "sample": Verb(sample, "sample", "SampleConfig"),
    "evaluate": Verb(evaluate, "evaluate", "EvaluateConfig", ("evaluation", "dataset")),
    "neighbours": Verb(neighbours, "neighbours", "NeighboursConfig", ("evaluation", "dataset")),
    "reconstruct": Verb(reconstruct, "reconstruct", "ReconstructConfig", ("dataset",)),
    "translate": Verb(translate, "translate", "TranslateConfig"),
    "interpolate": Verb(interpolate, "interpolate", "InterpolateConfig"),
    "truncation": Verb(truncation, "truncation", "TruncationConfig", ("evaluation", "dataset")),
    "export": Verb(export, "export", "ExportConfig"),
    "report": Verb(report, "report", "ReportConfig", positional="folders"),
    "demo": Verb(demo, "demo", "DemoConfig"),
    "watch": Verb(watch, "watch", "WatchConfig"),
}


def main() -> None:
    """Entry point of the command ``ganrun``: ``ganrun [VERB] [OVERRIDE ...]``; no verb trains."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C.
    """
    try:
        _dispatch(arguments)
    except GanrunError as error:
        return _fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(one_line(error))
    except OSError as error:
        if (told := disk_trouble(error, "Choose another place.")) is None:
            raise
        return _fail(str(told))
    except KeyboardInterrupt:
        return 130
    return 0


def _dispatch(arguments: list[str]) -> None:
    name, rest = _split(arguments)
    if "--version" in rest:
        sys.stdout.write(f"ganrun {__version__}\n")
        return
    verb = VERBS[name]
    rest = with_positional(rest, verb.positional) if verb.positional else rest
    rest = [_quote_text(_quote_path(argument)) for argument in rest]
    _refuse_shared_clock(rest)
    rest = with_saved(rest, verb.saved) if verb.saved else rest
    preflight(rest, verb.config, verb.schema)
    rest = with_sweep_folder(rest) if name == "train" else rest
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach run() instead of being printed by Hydra
    sys.argv = [sys.argv[0], *rest]
    verb.app()


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb and what follows it; tab completion asks with the typed line in ``COMP_LINE``."""
    if "-sc" in arguments or "--shell-completion" in arguments:
        program, _, typed = os.environ.get("COMP_LINE", "").partition(" ")
        first, _, others = typed.lstrip().partition(" ")
        if first in VERBS:
            os.environ["COMP_LINE"] = f"{program} {others}"
            return first, arguments
        return "train", arguments
    if not arguments or not re.fullmatch(r"[a-zA-Z_]\w*", arguments[0]):
        return "train", arguments
    verb, *rest = arguments
    if verb not in VERBS:
        remedy = sentences(did_you_mean(verb, VERBS), f"Verbs: {listing(VERBS)}; values are given as key=value.")
        raise RunError(f"There is no verb {verb!r}. {remedy}")
    return verb, rest


def _quote_path(argument: str) -> str:
    """A path, or a sum, with quotes around it: commas and equal signs have a meaning of their own otherwise."""
    key, _, value = argument.partition("=")
    is_path = key in (*PATHS, "arithmetic")
    if not is_path or value in ("", "null") or value.startswith(("'", '"', "[")):
        return argument
    return f"{key}={quoted(value)}"


def _quote_text(argument: str) -> str:
    """A text, or each of a list, likewise: anything may stand in a sentence."""
    key, _, value = argument.partition("=")
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES
    if key not in ("text", "from_text", "to_text") or value in ("", "null") or is_quoted:
        return argument
    if not (value.startswith("[") and value.endswith("]")):
        return f"{key}={quoted(value)}"
    if set(QUOTES) & set(value):
        return argument
    return f"{key}=[{','.join(quoted(text.strip()) for text in value[1:-1].split(','))}]"


def _refuse_shared_clock(arguments: list[str]) -> None:
    """Ranks started by torchrun would each name a folder by their own clock."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not any(a.startswith("run=") for a in arguments):
        raise RunError("Several processes were started and need one folder. Name it with run=PATH.")


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


if __name__ == "__main__":
    main()
