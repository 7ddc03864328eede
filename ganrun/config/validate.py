"""Is a configuration well formed? Every problem is found at once, and nothing is imported to find it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganrun.config import compatibility
from ganrun.config.annotations import (
    Anything,
    Choice,
    Component,
    Either,
    Many,
    Named,
    Section,
    Type,
    fit,
    read_type,
)
from ganrun.config.targets import Target, describe, read
from ganrun.config.words import did_you_mean, listing
from ganrun.core.errors import ConfigError, Problem

INJECTED = {
    "loss": {"augment"},
    "model": {
        "size",
        "shape",
        "channels",
        "classes",
        "planes",
        "palette",
        "text_size",
        "objective",
        "image",
        "augment",
    },
    "optimizer": {"parameters"},
}
"""Arguments that the program fills in, by section of the configuration."""

CONTROLS = {"_target_", "_partial_", "_copies_", "_shorthand_"}
"""Keys of a component that are not arguments."""


@dataclass(frozen=True)
class UnknownKey(Problem):
    """A key that nothing reads."""


@dataclass(frozen=True)
class MissingKey(Problem):
    """A key that something reads and that is not there."""


def controls(node: dict[str, Any]) -> set[str]:
    """Keys of a component that are not arguments; ``_shorthand_`` lists some that are there to be interpolated."""
    return CONTROLS | set(node.get("_shorthand_", ()))


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers, interpolations resolved.

    Raises:
        ConfigError: an interpolation leads nowhere.
    """
    try:
        return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        cause = str(error).splitlines()[0]
        raise ConfigError([Problem(str(error.full_key or "configuration"), cause)]) from error


def validate(config: dict[str, Any]) -> None:
    """Check a run's configuration; numbers that YAML read as text or with another type are converted in place.

    Raises:
        ConfigError: with everything that is wrong.
    """
    if problems := find_problems(config, "RunConfig"):
        raise ConfigError(problems)


def find_problems(config: dict[str, Any], schema: str) -> list[Problem]:
    """Everything that is wrong; where parts do not fit, a key too many or too few in them needs no further word."""
    misfits = compatibility.check(config)
    explained = {problem.path for problem in misfits}

    def is_explained(problem: Problem) -> bool:
        keys = isinstance(problem, UnknownKey | MissingKey)
        return keys and not explained.isdisjoint((problem.path, problem.path.rpartition(".")[0]))

    return [*(problem for problem in check(config, schema) if not is_explained(problem)), *misfits]


def check(config: dict[str, Any], schema: str) -> list[Problem]:
    """Compare ``config`` with a class of :mod:`ganrun.config.schema`; numbers are converted in place."""
    source = read("ganrun.config.schema")
    assert source is not None
    return list(_check_fields(config, Target(source, source.definitions[schema]), ""))


def _check_entry(container: Any, key: Any, kind: Type, path: str) -> Iterator[Problem]:
    """Check ``container[key]``; a number is put back as its annotation wants it."""
    if container[key] == "???":
        yield Problem(path, f"needs a value: {kind}", f"Give it with {path}=VALUE.")
        return
    value, meant = fit(container[key], kind)
    if isinstance(value, dict) and "_copies_" in value:
        yield from _check_copies(value["_copies_"], kind, f"{path}._copies_")
    if meant is None:
        yield Problem(path, f"must be {kind}, not {_shown(value)}", _near(value, kind))
    elif isinstance(value, dict):
        yield from _check_dict(value, meant, path)
    elif isinstance(value, list) and isinstance(meant, Many):
        yield from _check_list(value, meant, path)
    else:
        container[key] = value


def _check_copies(count: Any, kind: Type, path: str) -> Iterator[Problem]:
    """``_copies_: K`` makes a list of K components."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        yield Problem(path, f"must be a whole number at least 1, not {_shown(count)}")
    if not any(
        isinstance(option, Many | Anything) for option in (kind.options if isinstance(kind, Either) else (kind,))
    ):
        yield Problem(path, "there can be only one here", f"Leave out {path}.")


def _check_dict(value: dict[str, Any], kind: Type, path: str) -> Iterator[Problem]:
    if isinstance(kind, Section):
        yield from _check_fields(value, kind.target, path)
    elif "_target_" in value:
        yield from _check_component(value, kind.base if isinstance(kind, Component) else None, path)
    elif isinstance(kind, Component):
        remedy = f"Add {path}._target_=package.module.Name."
        yield Problem(path, "has no _target_, so nothing can be built from it", remedy)
    else:
        item = kind.value if isinstance(kind, Named) else Anything()
        for name in value:
            yield from _check_entry(value, name, item, f"{path}.{name}")


def _check_list(value: list[Any], kind: Many, path: str) -> Iterator[Problem]:
    if kind.fixed and len(value) != len(kind.items):
        yield Problem(path, f"must be {kind}, not {_shown(value)}")
        return
    for index in range(len(value)):
        yield from _check_entry(value, index, kind.items[index if kind.fixed else 0], f"{path}.{index}")


def _check_component(node: dict[str, Any], base: Target | None, path: str) -> Iterator[Problem]:
    try:
        target = describe(node["_target_"], f"{path}._target_")
    except ConfigError as error:
        yield from error.problems
        return
    if base is not None and not _makes(target, base):
        yield Problem(f"{path}._target_", f"{target.path} is no {base.node.name}", f"See {base.source.name}.")
    yield from _check_fields(node, target, path)


def _makes(target: Target, base: Target) -> bool:
    """Whether a class derives from ``base``; factories are believed."""
    if target.source.name.split(".")[0] != "ganrun" or not hasattr(target.node, "bases"):
        return True
    return any(ancestor.path == base.path for ancestor in target.ancestors())


def _check_fields(node: dict[str, Any], target: Target, path: str) -> Iterator[Problem]:
    parameters = target.parameters
    if parameters is None:
        return
    prefix = f"{path}." if path else ""
    injected = INJECTED.get(path.split(".")[0], set())
    is_component = "_target_" in node
    known = [name for name in parameters if name not in injected]
    owner = target.path if is_component else path or "the configuration"
    for key in node:
        if key not in parameters and not (is_component and key in controls(node)):
            remedy = did_you_mean(str(key), known) or f"It has: {listing(known)}."
            yield UnknownKey(f"{prefix}{key}", f"{owner} has no {str(key)!r}", remedy)
    for name, parameter in parameters.items():
        kind = read_type(parameter.annotation, parameter.source)
        if name in node:
            yield from _check_entry(node, name, kind, f"{prefix}{name}")
        elif parameter.required and name not in injected and not node.get("_partial_"):
            yield MissingKey(f"{prefix}{name}", f"is missing ({kind})", f"Add it with +{prefix}{name}=VALUE.")


def _near(value: Any, kind: Type) -> str:
    kinds = kind.options if isinstance(kind, Either) else (kind,)
    words = [str(option) for each in kinds if isinstance(each, Choice) for option in each.options]
    return did_you_mean(value, words) if isinstance(value, str) else ""


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
