"""What a ``_target_`` names, read from its source text: nothing is imported, so nothing of a stranger's runs.

A run may build from the classes and functions that are *defined* in ganrun's component packages, and in the packages
that the environment variable ``GANRUN_PLUGINS`` names (comma separated). Configuration can not widen that list.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ganrun.config.words import did_you_mean, listing, sentences
from ganrun.core.errors import ConfigError, Problem

COMPONENTS = (
    "ganrun.augment",
    "ganrun.core.schedules",
    "ganrun.data",
    "ganrun.games",
    "ganrun.latents",
    "ganrun.losses",
    "ganrun.metrics",
    "ganrun.networks",
    "ganrun.optim",
)
PLUGINS = "GANRUN_PLUGINS"

_NOT_COMPONENTS = {"None", "bool", "bytes", "dict", "float", "int", "list", "set", "str", "tuple"}

Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Source:
    """One parsed module.

    Args:
        name: dotted name.
        definitions: classes and functions at top level.
        aliases: values assigned at top level.
        imports: local name -> dotted origin.
    """

    name: str
    definitions: dict[str, Definition]
    aliases: dict[str, ast.expr]
    imports: dict[str, str]


@dataclass(frozen=True)
class Parameter:
    """An argument of a target.

    Args:
        annotation: its type as written, or ``None``.
        required: whether it has no default.
        source: the module in whose scope the annotation is read.
    """

    annotation: ast.expr | None
    required: bool
    source: Source


@dataclass(frozen=True)
class Target:
    """A class or function.

    Args:
        source: the module that defines it.
        node: its syntax tree.
    """

    source: Source
    node: Definition

    @property
    def path(self) -> str:
        """Dotted path."""
        return f"{self.source.name}.{self.node.name}"

    @property
    def parameters(self) -> dict[str, Parameter] | None:
        """Constructor arguments by name; ``None`` where the source does not tell (``**kwargs`` of a foreign base)."""
        return _parameters(self)

    def bases(self) -> Iterator[Target]:
        """Base classes whose source may be read, in order."""
        if isinstance(self.node, ast.ClassDef):
            for base in self.node.bases:
                found = resolve(self.source, base)
                if isinstance(found, Target):
                    yield found

    def ancestors(self) -> Iterator[Target]:
        """The class itself and all its base classes, nearest first."""
        yield self
        for base in self.bases():
            yield from base.ancestors()

    def trait(self, name: str) -> tuple[str, ...] | None:
        """A literal tuple of strings: of the class or its nearest base; for a function, of its module."""
        if isinstance(self.node, ast.FunctionDef):
            value = self.source.aliases.get(name)
            return _strings(value) if value is not None else None
        for ancestor in self.ancestors():
            value = _assigned(ancestor.node.body).get(name)
            if value is not None:
                return _strings(value)
        return None

    @property
    def is_dataclass(self) -> bool:
        """Whether the class is decorated as a dataclass."""
        return any("dataclass" in ast.unparse(decorator) for decorator in self.node.decorator_list)

    @property
    def is_protocol(self) -> bool:
        """Whether the class is a typing protocol."""
        return isinstance(self.node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in self.node.bases)


def describe(dotted: object, where: str = "_target_") -> Target:
    """Find the target that ``dotted`` names.

    Args:
        dotted: value of a ``_target_``.
        where: dotted path of that value in the configuration, for the message.

    Raises:
        ConfigError: it is not one that a run may build.
    """

    def refuse(cause: str, remedy: str) -> ConfigError:
        return ConfigError([Problem(where, cause, remedy)])

    parts = dotted.split(".") if isinstance(dotted, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise refuse(f"{dotted!r} is not the dotted path of a class or function", "Write package.module.Name.")
    allowed = (*COMPONENTS, *plugins())
    module, _, name = str(dotted).rpartition(".")
    if not any(f"{module}.".startswith(f"{package}.") for package in allowed):
        remedy = (
            f"A run builds from {listing(allowed)}; name packages of your own in the environment variable {PLUGINS}."
        )
        raise refuse(f"{dotted} is outside the packages that a run may build from", remedy)
    source = read(module)
    if source is None:
        near = did_you_mean(module, _modules(module.rpartition(".")[0]))
        raise refuse(f"there is no module {module}", near)
    if name not in source.definitions or name.startswith("_"):
        if name in source.imports:
            raise refuse(f"{module} imports {name} and does not define it", f"It comes from {source.imports[name]}.")
        public = [known for known in source.definitions if not known.startswith("_")]
        raise refuse(
            f"{module} defines no {name}", sentences(did_you_mean(name, public), f"It defines {listing(public)}.")
        )
    node = source.definitions[name]
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        returned = ast.unparse(node.returns).split("[")[0].strip("'\"")
        if returned in _NOT_COMPONENTS:
            raise refuse(f"{dotted} returns {returned}, so it makes no component", "Name a class or a factory.")
    return Target(source, node)


def plugins() -> tuple[str, ...]:
    """Packages that the user lets runs build from."""
    return tuple(name.strip() for name in os.environ.get(PLUGINS, "").split(",") if name.strip())


def resolve(source: Source, expression: ast.expr) -> Target | tuple[Source, ast.expr] | None:
    """What a name in ``source`` stands for: a class or function, an alias with its scope, or ``None`` for others."""
    if isinstance(expression, ast.Subscript):
        return resolve(source, expression.value)
    if not isinstance(expression, ast.Name | ast.Attribute):
        return None
    head, *rest = ast.unparse(expression).split(".")
    if not rest and head in source.definitions:
        return Target(source, source.definitions[head])
    if not rest and head in source.aliases:
        return source, source.aliases[head]
    if head not in source.imports:
        return None
    return _follow(".".join([source.imports[head], *rest]))


def _follow(dotted: str) -> Target | tuple[Source, ast.expr] | None:
    module, _, name = dotted.rpartition(".")
    if module.split(".")[0] not in {"ganrun", *(plugin.split(".")[0] for plugin in plugins())}:
        return None
    source = read(module)
    return None if source is None else resolve(source, ast.Name(name))


@cache
def read(module: str) -> Source | None:
    """Parse a module without importing it; ``None`` where there is no such file."""
    path = _file(module)
    if path is None:
        return None
    tree = ast.parse(path.read_bytes(), filename=str(path))
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return Source(module, definitions, _assigned(tree.body), _imports(tree.body, module, path))


def _file(module: str) -> Path | None:
    top, *rest = module.split(".")
    if top == "ganrun":
        folders = [Path(__file__).resolve().parents[1]]
    else:
        spec = importlib.util.find_spec(top)  # of a top-level name: imports nothing
        if spec is None:
            return None
        if not rest and spec.origin is not None:
            return Path(spec.origin)
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    for folder in folders:
        stem = folder.joinpath(*rest)
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def _modules(package: str) -> list[str]:
    path = _file(package)
    if path is None or path.name != "__init__.py":
        return []
    return [f"{package}.{found.stem}" for found in path.parent.glob("[!_]*.py")]


def _imports(body: list[ast.stmt], module: str, path: Path) -> dict[str, str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imports: dict[str, str] = {}
    for node in body:
        if isinstance(node, ast.Import):
            imports |= {alias.asname: alias.name for alias in node.names if alias.asname}
            imports |= {name: name for alias in node.names if not alias.asname for name in [alias.name.split(".")[0]]}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            imports |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.If):  # if TYPE_CHECKING:
            imports |= _imports(node.body, module, path)
    return imports


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    values: dict[str, ast.expr] = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            values[node.target.id] = node.value
        elif isinstance(node, ast.Assign):
            values |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
    return values


def _strings(value: ast.expr) -> tuple[str, ...]:
    return tuple(str(item) for item in ast.literal_eval(value))


def _parameters(target: Target) -> dict[str, Parameter] | None:
    if isinstance(target.node, ast.FunctionDef):
        return _arguments(target.node, target.source)
    constructor = next(
        (node for node in target.node.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None
    )
    if constructor is not None:
        own = _arguments(constructor, target.source, bound=True)
        if constructor.args.kwarg is None:
            return own
        inherited = next((base.parameters for base in target.bases()), None)
        return None if inherited is None or own is None else inherited | own
    fields: dict[str, Parameter] = {}
    for base in target.bases():
        fields |= base.parameters or {}
        if not target.is_dataclass:
            return fields
    if target.is_dataclass:
        for node in target.node.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                fields[node.target.id] = Parameter(node.annotation, node.value is None, target.source)
    return fields


def _arguments(function: ast.FunctionDef, source: Source, bound: bool = False) -> dict[str, Parameter] | None:
    arguments = function.args
    if arguments.kwarg is not None and not bound:
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    optional = {argument.arg for argument in positional[len(positional) - len(arguments.defaults) :]}
    optional |= {
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    if not arguments.defaults:
        optional -= {argument.arg for argument in positional}
    return {
        argument.arg: Parameter(argument.annotation, argument.arg not in optional, source)
        for argument in [*positional[bound:], *arguments.kwonlyargs]
    }
