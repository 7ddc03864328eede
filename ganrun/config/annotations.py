"""What a configuration value may be: types read from annotations, and values checked against them."""

from __future__ import annotations

import ast
import math
import operator
import re
from dataclasses import dataclass, field
from typing import Any

from ganrun.config.targets import Source, Target, resolve

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}
_SCALARS = {"bool": bool, "int": int, "float": float, "str": str, "Path": str}
_LISTS = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection"}
_DICTS = {"dict", "Dict", "Mapping"}
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Scalar:
    """A bool, int, float or str; numbers within bounds such as ``("> 0", "<= 1")``."""

    kind: type
    bounds: tuple[str, ...] = ()

    def __str__(self) -> str:
        limits = [f"{_WORDS[sign]} {limit}" for sign, limit in (bound.split() for bound in self.bounds)]
        return " ".join([_NAMES[self.kind], " and ".join(limits)]).strip()


@dataclass(frozen=True)
class Choice:
    """One of several literals."""

    options: tuple[Any, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(str(option) for option in self.options)}"


@dataclass(frozen=True)
class Null:
    """Nothing."""

    def __str__(self) -> str:
        return "null"


@dataclass(frozen=True)
class Many:
    """A list; ``items`` has one type per element, or a single one for any number of them."""

    items: tuple[Type, ...]
    fixed: bool

    def __str__(self) -> str:
        if self.fixed:
            return f"a list [{', '.join(str(item) for item in self.items)}]"
        return f"a list, each {self.items[0]}"


@dataclass(frozen=True)
class Named:
    """A dict from free names to values of one type."""

    value: Type

    def __str__(self) -> str:
        return f"names, each with {self.value}"


@dataclass(frozen=True)
class Section:
    """A dict with the fields of a settings class."""

    target: Target

    def __str__(self) -> str:
        return "a section with " + ", ".join(self.target.parameters or {})


@dataclass(frozen=True)
class Component:
    """A node with a ``_target_``, of a class derived from ``base`` where that is known."""

    base: Target | None = None

    def __str__(self) -> str:
        return "a component (a section with a _target_)"


@dataclass(frozen=True)
class Anything:
    """No statement; components inside are checked all the same."""

    def __str__(self) -> str:
        return "anything"


@dataclass(frozen=True)
class Either:
    """One of several types."""

    options: tuple[Type, ...] = field(default=())

    def __str__(self) -> str:
        return " or ".join(str(option) for option in self.options)


Type = Scalar | Choice | Null | Many | Named | Section | Component | Anything | Either


def read_type(annotation: ast.expr | None, source: Source) -> Type:
    """The type that an annotation in ``source`` stands for."""
    if annotation is None:
        return Anything()
    if isinstance(annotation, ast.Constant):
        if isinstance(annotation.value, str):  # a quoted annotation
            return read_type(ast.parse(annotation.value, mode="eval").body, source)
        return Null()
    if isinstance(annotation, ast.BinOp):  # X | Y
        sides = (read_type(side, source) for side in (annotation.left, annotation.right))
        return Either(tuple(option for side in sides for option in _options(side)))
    if isinstance(annotation, ast.Subscript):
        return _read_generic(ast.unparse(annotation.value).split(".")[-1], annotation, source)
    return _read_name(annotation, source)


def _read_name(annotation: ast.expr, source: Source) -> Type:
    name = ast.unparse(annotation).split(".")[-1]
    found = resolve(source, annotation)
    if isinstance(found, tuple):  # an alias, read where it is defined
        return read_type(found[1], found[0])
    if found is not None:
        if found.is_dataclass and name.endswith(("Settings", "Config")):
            return Section(found)
        is_base = isinstance(found.node, ast.ClassDef) and not found.is_protocol
        return Component(found if is_base else None)
    if name in _SCALARS:
        return Scalar(_SCALARS[name])
    if name in _LISTS:
        return Many((Anything(),), fixed=False)
    if name in _DICTS:
        return Named(Anything())
    return Anything() if name in ("Any", "object") else Component()


def _read_generic(name: str, annotation: ast.Subscript, source: Source) -> Type:
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if name == "Literal":
        return Choice(tuple(ast.literal_eval(option) for option in inner))
    if name == "Annotated":
        base = read_type(inner[0], source)
        bounds = tuple(ast.literal_eval(bound) for bound in inner[1:])
        return Scalar(base.kind, bounds) if isinstance(base, Scalar) else base
    if name == "Optional":
        return Either((*_options(read_type(inner[0], source)), Null()))
    if name in _LISTS:
        endless = name.lower() != "tuple" or ast.unparse(inner[-1]) in ("...", "Ellipsis")
        items = inner[:1] if endless else inner
        return Many(tuple(read_type(item, source) for item in items), fixed=not endless)
    if name in _DICTS:
        return Named(read_type(inner[-1], source))
    return Component()


def _options(kind: Type) -> tuple[Type, ...]:
    return kind.options if isinstance(kind, Either) else (kind,)


def convert(value: Any, kind: Scalar | Choice | Null) -> Any:
    """``value`` as ``kind`` wants it: ``1e3`` is a whole number, ``1`` a number, ``"1e-4"`` too.

    Raises:
        ValueError: it is something else, or out of range.
    """
    if isinstance(kind, Null):
        if value is not None:
            raise ValueError
        return None
    if isinstance(kind, Choice):
        if not any(value == option and type(value) is type(option) for option in kind.options):
            raise ValueError
        return value
    if (
        value is None
        or isinstance(value, bool) != (kind.kind is bool)
        or not isinstance(value, bool | int | float | str)
    ):
        raise ValueError
    if kind.kind is str or kind.kind is bool:
        return kind.kind(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError
    number = float(value)
    if not math.isfinite(number) or (kind.kind is int and not number.is_integer()):
        raise ValueError
    for sign, limit in (bound.split() for bound in kind.bounds):
        if not _COMPARE[sign](number, float(limit)):
            raise ValueError
    return (value if isinstance(value, int) else int(number)) if kind.kind is int else number


def fit(value: Any, kind: Type) -> tuple[Any, Type | None]:
    """The alternative of ``kind`` that ``value`` is meant as, with the value converted where it is a scalar.

    Returns:
        The value and its type; ``None`` as type where no alternative admits it.
    """
    options = _options(kind)
    if isinstance(value, dict):
        wanted: tuple[type, ...] = (Section, Component, Named, Anything)
        return value, next((option for option in options if isinstance(option, wanted)), None)
    if isinstance(value, list):
        return value, next((option for option in options if isinstance(option, Many | Anything)), None)
    scalars = [option for option in options if isinstance(option, Scalar | Choice | Null)]
    exact = [option for option in scalars if isinstance(option, Scalar) and option.kind is type(value)]
    for option in [*exact, *scalars]:
        try:
            return convert(value, option), option
        except ValueError:
            continue
    return value, next((option for option in options if isinstance(option, Anything)), None)
