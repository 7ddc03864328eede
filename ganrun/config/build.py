"""Configuration -> objects. The only place that imports what a ``_target_`` names."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from ganrun.config.targets import describe
from ganrun.config.validate import controls
from ganrun.core.errors import ConfigError, Problem
from ganrun.core.facts import Facts


def build(node: Any, context: dict[str, Any] | None = None, partial: bool = False, path: str = "") -> Any:
    """Build a configuration node and everything below it.

    Args:
        node: plain values, lists and dicts; a dict with ``_target_`` becomes the result of calling that, with
            ``_partial_: true`` a function that waits for its last arguments, and with ``_copies_: K`` a list of K
            results, each from calls of its own.
        context: values handed to every target that has a parameter of that name which the node leaves out.
        partial: leave the outermost call to the caller.
        path: dotted path of the node, for messages.

    Raises:
        ConfigError: a ``_target_`` outside the packages that a run may build from, or a value that its constructor
            refuses (``ValueError``).
    """
    if isinstance(node, list):
        return [build(item, context, path=f"{path}.{index}") for index, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if "_copies_" in node:
        single = {name: value for name, value in node.items() if name != "_copies_"}
        return [build(single, context, path=path) for _ in range(node["_copies_"])]
    arguments = {
        name: build(value, context, path=f"{path}.{name}" if path else name)
        for name, value in node.items()
        if name not in controls(node)
    }
    if "_target_" not in node:
        return arguments
    target = locate(node["_target_"])
    wanted = inspect.signature(target).parameters
    arguments = {name: value for name, value in (context or {}).items() if name in wanted} | arguments
    if partial or node.get("_partial_"):
        return functools.partial(target, **arguments)
    try:
        return target(**arguments)
    except ValueError as error:
        raise ConfigError([Problem(path, str(error))]) from None


def locate(path: str) -> Any:
    """The class or function that ``path`` names, after checking that a run may use it.

    Raises:
        ConfigError: it may not.
    """
    describe(path)
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def data_context(facts: Facts) -> dict[str, Any]:
    """Facts of the data under the parameter names by which networks and games ask for them."""
    context: dict[str, Any] = {"shape": facts.shape, "classes": facts.classes, "palette": facts.palette}
    context["planes"] = facts.condition_size if "aligned" in facts.provides else 0
    context["text_size"] = facts.condition_size if facts.condition == "texts" else 0
    if facts.kind == "images":
        context["channels"] = facts.channels
        if facts.shape[1] == facts.shape[2]:
            context["size"] = facts.size
    return context
