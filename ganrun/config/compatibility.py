"""Do the parts of a configuration fit each other and the data? Components say what they require and forbid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ganrun.config.targets import Target, describe
from ganrun.config.words import listing
from ganrun.core.errors import ConfigError, Problem
from ganrun.core.facts import Facts

Node = tuple[str, dict[str, Any], Target]

_IN_WORDS = {"two_domains": "two domains", "single_image": "a single image", "points": "2-D points"}


def check(config: dict[str, Any]) -> list[Problem]:
    """Everything that can be known before the data are read."""
    dataset = next(_nodes(config.get("dataset"), "dataset"), None)
    possible = None if dataset is None else dataset[2].trait("provides")
    return [
        *(_unmet(config, frozenset(possible)) if possible is not None else ()),
        *_forbidden(config),
        *_two_lipschitz_controls(config),
        *_uneven_batch(config),
        *_one_image(config),
        *_unknown_best(config),
    ]


def check_facts(config: dict[str, Any], facts: Facts) -> list[Problem]:
    """Everything that hangs on what the data turned out to be."""
    return [*_unmet(config, facts.provides), *_not_square(config, facts)]


def resolve_auto(config: dict[str, Any]) -> list[str]:
    """Replace ``norm: auto`` in discriminators by ``batch``, or by ``none`` where the loss forbids batch norm.

    Returns:
        Lines for the log.
    """
    lines = []
    forbidding = _forbidding(config)
    for path, node, _ in _discriminators(config):
        if node.get("norm") == "auto":
            if forbidding:
                node["norm"], reason = "none", f"{_name(forbidding[0])} takes gradients of single samples"
            elif node.get("spectral") is True:
                node["norm"], reason = "none", "a gain of batch norm would undo spectral normalisation"
            else:
                node["norm"], reason = "batch", "the usual choice"
            lines.append(f"{path}.norm: auto -> {node['norm']} ({reason})")
    return lines


def _unmet(config: dict[str, Any], provided: frozenset[str]) -> Iterator[Problem]:
    """Components that require what the data do not provide."""
    given = f"dataset provides {listing(sorted(_say(trait) for trait in provided))}"
    model = list(_nodes(config.get("model"), "model"))
    metrics = _at(config, "evaluation", "metrics")
    scored = not model or "samples" in (model[0][2].trait("provides") or ())
    for path, _, target in [*model, *(_nodes(metrics, "evaluation.metrics") if scored else ())]:
        for trait in target.trait("requires") or ():
            if trait not in provided:
                yield Problem(path, f"{target.path} needs {_say(trait)}, but {given}", _remedy(path, trait))
    conditional = next((path for path, node, _ in model if node.get("conditional") is True), None)
    if conditional is not None and "labels" not in provided:
        remedy = f"Set {conditional}.conditional=false or choose labelled data."
        yield Problem(f"{conditional}.conditional", f"a conditional model needs labels, but {given}", remedy)


def _not_square(config: dict[str, Any], facts: Facts) -> Iterator[Problem]:
    """Networks that are made for one side length, before images that have two."""
    if facts.kind != "images" or facts.shape[1] == facts.shape[2]:
        return
    for path, node, target in _nodes(config.get("model"), "model"):
        if "size" in (target.parameters or {}) and "size" not in node:
            cause = f"{target.path} needs square images, and these are {facts.shape[2]}x{facts.shape[1]}"
            yield Problem(path, cause, "Set dataset.size with dataset.crop=center.")


def _remedy(path: str, trait: str) -> str:
    group = path.split(".")[0]
    other = "evaluation=points, evaluation=none" if group == "evaluation" else "model=toy for 2-D points"
    if trait == "two_domains":
        return "Choose dataset=unpaired."
    if trait == "single_image":
        return "Choose dataset=single_image."
    return f"Choose another {group} ({other}) or another dataset."


def _forbidden(config: dict[str, Any]) -> Iterator[Problem]:
    """Batch norm where gradients of single samples are taken."""
    forbidding = _forbidding(config)
    if not forbidding:
        return
    for path, node, _ in _discriminators(config):
        if node.get("norm") == "batch":
            yield Problem(
                f"{path}.norm",
                f"batch norm mixes samples, but {_name(forbidding[0])} takes gradients of single samples",
                f"Use {path}.norm=none, layer or instance (auto chooses none).",
            )


def _two_lipschitz_controls(config: dict[str, Any]) -> Iterator[Problem]:
    """Weight clipping beside a penalty or spectral norm."""
    if _at(config, "player", "discriminator", "weight_clip") is None:
        return
    others = [f"the penalty {_name(node)}" for node in _per_sample_terms(config)]
    others += [f"{path}.spectral" for path, node, _ in _discriminators(config) if node.get("spectral") is True]
    if others:
        yield Problem(
            "player.discriminator.weight_clip",
            f"weight clipping and {others[0]} both bound the critic's slope",
            "Choose one: player.discriminator.weight_clip=null keeps the other.",
        )


def _uneven_batch(config: dict[str, Any]) -> Iterator[Problem]:
    batch, devices, accumulate = (_at(config, "trainer", key) for key in ("batch_size", "devices", "accumulate"))
    shares = devices * accumulate if isinstance(devices, int) and isinstance(accumulate, int) else 0
    if isinstance(batch, int) and shares > 0 and batch % shares:
        cause = f"{batch} samples cannot be shared by {devices} devices x {accumulate} micro-batches"
        yield Problem("trainer.batch_size", cause, f"Use a multiple of {shares}.")


def _one_image(config: dict[str, Any]) -> Iterator[Problem]:
    """More than one sample at a time for a game of a single image."""
    game = next(_nodes(config.get("model"), "model"), None)
    if game and "single_image" in (game[2].trait("requires") or ()) and _at(config, "trainer", "batch_size") != 1:
        cause = f"{game[2].path} learns from exactly one image"
        yield Problem("trainer.batch_size", cause, "Use trainer.batch_size=1.")


def _unknown_best(config: dict[str, Any]) -> Iterator[Problem]:
    best, metrics = _at(config, "evaluation", "best"), _at(config, "evaluation", "metrics")
    if best is not None and isinstance(metrics, dict) and best not in metrics:
        yield Problem("evaluation.best", f"no metric is called {best!r}", f"Metrics: {listing(metrics)}.")


def _forbidding(config: dict[str, Any]) -> list[Node]:
    """Terms that forbid batch norm; a batch of one sample has no others to mix with."""
    return [] if _at(config, "trainer", "batch_size") == 1 else list(_per_sample_terms(config))


def _per_sample_terms(config: dict[str, Any]) -> Iterator[Node]:
    for node in _nodes(config.get("loss"), "loss"):
        if "batch_norm" in (node[2].trait("forbids") or ()):
            yield node


def _discriminators(config: dict[str, Any]) -> Iterator[Node]:
    for path, node, target in _nodes(config.get("model"), "model"):
        if any(part.startswith(("discriminator", "critic")) for part in path.split(".")[1:]):
            yield path, node, target


def _nodes(value: Any, path: str) -> Iterator[Node]:
    """Components in ``value``, outermost first; those that may not be built are left to the validator."""
    if isinstance(value, dict):
        if "_target_" in value:
            try:
                yield path, value, describe(value["_target_"])
            except ConfigError:
                return
        for key, item in value.items():
            yield from _nodes(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nodes(item, f"{path}.{index}")


def _at(config: Any, *keys: str) -> Any:
    """The value at a path; ``None`` where a malformed configuration ends early."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _name(node: Node) -> str:
    path, _, target = node
    return f"{path} ({target.node.name})"


def _say(trait: str) -> str:
    return _IN_WORDS.get(trait, trait)
