"""Checks the command line before Hydra acts on it, so that every mistake is told at once and nothing is started."""

from __future__ import annotations

import itertools
import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ganrun.config.paths import conf_folder
from ganrun.config.resume import resolve
from ganrun.config.runs import check_verb
from ganrun.config.sweeps import is_sweep
from ganrun.config.validate import CONTROLS, UnknownKey, find_problems, plain
from ganrun.config.words import did_you_mean, listing, sentences
from ganrun.core.errors import ConfigError, Problem, RunError

FOLDERS = ("run", "hydra.sweep.dir", "hydra.sweep.subdir")
"""Keys that name a folder and are not given to a sweep."""
HIDDEN = {*CONTROLS, "hydra"}
"""Keys that are no one's typing error."""


@dataclass(frozen=True)
class UnknownOption(Problem):
    """A group has no such file; what hangs on the choice cannot be judged."""


def preflight(arguments: list[str], config_name: str, schema: str) -> None:
    """Check what was typed after the verb.

    A single run is checked completely. Of a sweep only the names are: a value that does not fit fails its own job.

    Args:
        arguments: the command line without the program's name and verb.
        config_name: primary configuration of the verb.
        schema: its class in :mod:`ganrun.config.schema`.

    Raises:
        ConfigError: with everything that is wrong.
        RunError: the run folder cannot be used as asked.
    """
    options = get_args(arguments)
    if options.help or options.hydra_help or options.shell_completion:
        return
    if options.config_path or options.config_name:
        raise RunError(
            "ganrun has its own configuration. "
            "Add a folder with groups of your own by --config-dir instead of --config-path or --config-name."
        )
    if options.multirun and (options.cfg or options.info):
        raise RunError("-m does not go with --cfg or --info. Leave out -m and give every key one value.")
    overrides, problems = _parse(options.overrides)
    with initialize_config_dir(str(conf_folder()), job_name="ganrun", version_base="1.3"):
        search_path = _search_path(options, overrides)
        checker = _Checker(GlobalHydra.instance().config_loader(), config_name, schema, search_path)
        if is_sweep(options.multirun, overrides):
            problems += checker.sweep(overrides)
        else:
            problems += checker.run(overrides, names_only=bool(options.cfg or options.info))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def with_positional(arguments: list[str], key: str) -> list[str]:
    """A command line with its paths collected into one list; folders of sweeps have equal signs in their names.

    Args:
        arguments: the command line without the program's name and verb.
        key: of the list.
    """

    def is_path(word: str) -> bool:
        head, equals, _ = word.partition("=")
        return not equals or ("/" in head and not head.startswith("hydra/")) or Path(word).exists()

    paths = [word for word in get_args(arguments).overrides if is_path(word)]
    if not paths:
        return arguments
    return [*(word for word in arguments if word not in paths), f"{key}=[{','.join(map(quoted, paths))}]"]


def quoted(text: str) -> str:
    """``text`` as a value that Hydra takes literally."""
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"


def _search_path(options: Namespace, overrides: list[Override]) -> list[str]:
    """Overrides that say where else to look for configuration files; ``--config-dir`` becomes one of them."""
    typed = [str(override.input_line) for override in overrides if override.key_or_group == "hydra.searchpath"]
    folder = [f"hydra.searchpath=['file://{Path(options.config_dir).resolve()}']"] if options.config_dir else []
    return typed or folder


def _parse(arguments: list[str]) -> tuple[list[Override], list[Problem]]:
    """The overrides that can be read, and what is wrong with the others."""
    parser = OverridesParser.create()
    overrides, problems = [], []
    for argument in arguments:
        try:
            if argument.startswith("=") or ("=" not in argument and not argument.startswith("~")):
                problems.append(Problem(repr(argument), "is no override", "Write key=value, without spaces around =."))
            else:
                overrides.append(parser.parse_overrides([argument])[0])
        except HydraException as error:
            reason = re.sub(r"\s+", " ", str(error).splitlines()[0])
            remedy = "Put quotes around a value with special characters: 'key=\"some value\"'."
            problems.append(Problem(repr(argument), f"cannot be read ({reason})", remedy))
    return overrides, problems


class _Checker:
    """Checks parsed overrides against the configuration files.

    Args:
        loader: Hydra's view of the configuration files.
        config_name: primary configuration.
        schema: its class.
        search_path: further overrides, which say where to look for configuration files.
    """

    def __init__(self, loader: ConfigLoader, config_name: str, schema: str, search_path: list[str]) -> None:
        self.loader = loader
        self.config_name = config_name
        self.schema = schema
        self.search_path = search_path

    def run(self, overrides: list[Override], names_only: bool) -> list[Problem]:
        """Problems of a single run."""
        swept = [override for override in overrides if override.is_sweep_override()]
        problems = [
            Problem(str(override.input_line), "several values make a sweep", "Add -m, or write a list as key=[a,b].")
            for override in swept
        ]
        single = [override for override in overrides if override not in swept]
        named, config = self.names(single)
        problems += named
        if config is None or names_only:
            return problems
        try:
            found = self.values(config, [str(override.input_line) for override in single])
        except RunError:
            if not problems:  # else they are told first: the folder may be wrong because of them
                raise
            return problems
        guessed = any(isinstance(problem, UnknownOption) for problem in named)
        typed = [override.key_or_group for override in single if not self._is_group(override)]
        return problems + [p for p in found if not guessed or any(f"{p.path}.".startswith(f"{key}.") for key in typed)]

    def values(self, config: DictConfig, overrides: list[str]) -> list[Problem]:
        """Problems of the composed configuration."""
        try:
            if self.schema != "RunConfig":
                return check_verb(plain(config), self.schema)
            final = resolve(config, overrides)
            return find_problems(final, self.schema)
        except ConfigError as error:
            return error.problems

    def sweep(self, overrides: list[Override]) -> list[Problem]:
        """Names that no job of the sweep could use."""
        problems = [
            Problem(override.key_or_group, "names the folder of a single run", "Name a sweep's with sweep.folder=PATH.")
            if override.key_or_group in FOLDERS
            else Problem(override.key_or_group, "is the sweep's own and cannot be swept", "Give it one value.")
            for override in overrides
            if override.key_or_group in FOLDERS
            or (override.is_sweep_override() and re.match(r"name$|sweep\.", override.key_or_group))
        ]
        for job in self._jobs([*self._given(overrides), *overrides]):
            named, config = self.names(job)
            problems += named
            if config is not None and self.schema == "RunConfig":
                found = self.values(config, [])
                problems += [problem for problem in found if isinstance(problem, UnknownKey)]
        return problems

    def _given(self, overrides: list[Override]) -> list[Override]:
        """Swept values that stand in a file and are not typed."""
        single = [override for override in overrides if not override.is_sweep_override()]
        choices = [str(o.input_line) for o in single if o.is_hydra_override() or self._is_group(o)]
        try:
            config = compose(self.config_name, [*self.search_path, *choices], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):
            return []  # told for every job
        typed = {override.get_key_element() for override in overrides}
        given = {key: values for key, values in (config.hydra.sweeper.get("params") or {}).items() if key not in typed}
        return OverridesParser.create(self.loader).parse_overrides([f"{key}={value}" for key, value in given.items()])

    def _jobs(self, overrides: list[Override]) -> Iterator[list[Override]]:
        """One job for every combination of swept groups; swept values are represented by their first."""
        parser = OverridesParser.create(self.loader)
        choices = []
        for override in overrides:
            values = [str(override.input_line)]
            if override.is_discrete_sweep():
                key = override.get_key_element()
                override.config_loader = self.loader
                values = [f"{key}={value}" for value in override.sweep_string_iterator()]
                values = values if self._options(override.key_or_group) else values[:1]
            elif isinstance(interval := override.value(), IntervalSweep):
                values = [f"{override.get_key_element()}={interval.start}"]
            choices.append(values)
        for job in itertools.product(*choices):
            yield parser.parse_overrides(list(job))

    def names(self, overrides: list[Override]) -> tuple[list[Problem], DictConfig | None]:
        """Problems with options and keys, and the configuration without those that have any."""
        groups, keys = [], []
        problems: list[Problem] = []
        for override in overrides:
            if override.is_hydra_override() or self._is_group(override):
                found = list(self._check_option(override))
                problems += found
                groups += [] if found else [str(override.input_line)]
            else:
                keys.append(override)
        try:
            config = compose(self.config_name, [*self.search_path, *groups])
        except (HydraException, OmegaConfBaseException) as error:
            return [*problems, self._uncomposable(error)], None
        unknown = {problem.path.split("=")[0] for problem in problems if isinstance(problem, UnknownOption)}
        for override in keys:
            if override.key_or_group.split(".")[0] not in unknown:
                problems += self._apply(config, override)
        return problems, config

    def _uncomposable(self, error: Exception) -> Problem:
        whole_runs = re.match(r"In '(\w+)/(\w+)': Could not override '(\w+)'", str(error))
        if whole_runs and self.schema != "RunConfig":
            group, option, other = whole_runs.groups()
            cause = f"it belongs to one kind of {other} and cannot be chosen here"
            return Problem(f"{group}={option}", cause, f"With run=FOLDER the run's own {group} is used.")
        return Problem("the configuration", f"cannot be composed ({one_line(error)})")

    def _options(self, group: str) -> list[str]:
        return self.loader.get_group_options(group, ObjectType.CONFIG, self.config_name, self.search_path)

    def _is_group(self, override: Override) -> bool:
        group = override.key_or_group
        return bool(self._options(group)) and not isinstance(override.value(), dict)

    def _check_option(self, override: Override) -> Iterator[Problem]:
        group, options, value = override.key_or_group, self._options(override.key_or_group), override.value()
        chosen = value if isinstance(value, list) else [value]
        if not options or override.is_delete():
            return
        if isinstance(value, list) and group != "technique":
            yield Problem(group, "takes one option", f"Write {group}=OPTION, or -m {group}=a,b for a sweep.")
            return
        if override.is_add() and (conf_folder() / group).is_dir():
            yield Problem(f"+{group}", "is part of the defaults already", f"Leave out the plus: {group}=OPTION.")
        for option in chosen:
            if str(option) not in options:
                remedy = sentences(did_you_mean(str(option), options), f"Options: {listing(options)}.")
                yield UnknownOption(f"{group}={option}", "there is no such option", remedy)

    def _groups_beside(self, where: str) -> set[str]:
        return set(self.loader.list_groups("")) if self.schema == "RunConfig" and not where else set()

    def _apply(self, config: DictConfig, override: Override) -> Iterator[Problem]:
        """Put one value into ``config``, as Hydra would, or say why it cannot be."""
        key = re.sub(r"\[(\w+)\]", r".\1", override.key_or_group)
        problem = self._misplaced(config, key, override)
        if problem is not None:
            yield problem
            return
        with open_dict(config):
            try:
                if override.is_delete():
                    parent, _, last = key.rpartition(".")
                    del (OmegaConf.select(config, parent) if parent else config)[last]
                else:
                    OmegaConf.update(config, key, override.value(), merge=True, force_add=True)
            except (OmegaConfBaseException, ValueError, TypeError, AttributeError) as error:
                yield Problem(str(override.input_line), f"cannot be set ({one_line(error)})")

    def _misplaced(self, config: DictConfig, key: str, override: Override) -> Problem | None:
        """A key that must exist and does not, or the other way round."""
        exists, where, here = _look_up(OmegaConf.to_container(config, resolve=False), key)
        if override.is_add() and exists and not isinstance(override.value(), dict | list):
            return Problem(f"+{key}", "is there already", f"Leave out the plus: {str(override.input_line)[1:]}.")
        if exists or override.is_add() or override.is_force_add():
            return None
        if isinstance(here, str) and here.startswith("${"):
            return UnknownKey(key, f"{where} follows {here[2:-1]}", f"Change {here[2:-1]} instead.")
        if not isinstance(here, dict):
            return UnknownKey(key, f"{where} is {'null' if here is None else here} and has no keys")
        known = {str(name) for name in here} | self._groups_beside(where)
        missing = key[len(where) + 1 if where else 0 :].split(".")[0]
        remedy = did_you_mean(missing, known) or f"It has: {listing(sorted(known - HIDDEN))}."
        return UnknownKey(key, f"{where or 'the configuration'} has no {missing!r}", remedy)


def _look_up(container: Any, key: str) -> tuple[bool, str, Any]:
    """Whether ``key`` is there, and otherwise how far its path leads, and to what."""
    node, where = container, ""
    for part in key.split("."):
        if isinstance(node, list):
            node = {str(index): item for index, item in enumerate(node)}
        if not isinstance(node, dict) or part not in node:
            return False, where, node
        node, where = node[part], f"{where}.{part}".lstrip(".")
    return True, where, node


def one_line(error: Exception) -> str:
    """The gist of an exception that was made for a terminal of its own."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
    text = "; ".join(part for part in (str(error), str(cause or "")) if part)
    return re.sub(r"\s+", " ", text.split("\nSearch path")[0]).strip()
