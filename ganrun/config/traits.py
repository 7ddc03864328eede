"""Components of a configuration and their traits: what they require, forbid and provide.

Traits are class attributes of components, read without importing them (see ``docs/extending.md``); settings of a
discriminator and of its player provide some, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ganrun.config.targets import Target, describe
from ganrun.core.errors import ConfigError


class Node(NamedTuple):
    """A component in a configuration.

    Args:
        path: where it is.
        values: its keys and values.
        target: what its ``_target_`` names.
    """

    path: str
    values: dict[str, Any]
    target: Target

    def traits(self, kind: str) -> tuple[str, ...]:
        """What the component requires, forbids or provides."""
        found = self.target.trait(kind) or ()
        chosen = (name for key in ("policy", "transforms") for name in self.values.get(key) or ())
        return (*found, "aligned_pairs") if kind == "forbids" and not MOVING.isdisjoint(chosen) else found

    def __str__(self) -> str:
        return f"{self.path} ({self.target.node.name})"


MOVING = {
    *("translation", "x_flip", "rotation_90", "integer_translation", "scale", "rotation", "anisotropic_scale"),
    "fractional_translation",
}
"""Transforms of augmentations that move pixels, and so forbid ``aligned_pairs``."""

DATA = {
    "images": "images",
    "points": "2-D points",
    "labels": "labels",
    "two_domains": "two domains",
    "single_image": "a single image",
    "aligned": "a source image or a label map for every image",
    "label_maps": "label maps",
    "captions": "captions",
}
"""Traits that only the data can bring, in words."""

SETTINGS = {
    ("norm", "batch"): "batch_norm",
    ("minibatch", "discrimination"): "coupled_samples",
    ("minibatch", "stddev"): "coupled_samples",
    ("spectral", True): "spectral_norm",
    ("bias", False): "no_biases",
}
"""Settings of a discriminator that provide a trait."""

CONDITIONING = {"classifier": "class_logits", "projection": "projection"}
"""What a discriminator's ``conditioning`` provides where it is conditional."""


def provided_by(config: dict[str, Any]) -> dict[str, str]:
    """Trait -> who provides it, apart from the data."""
    provided: dict[str, str] = {}
    for node in nodes(config.get("loss"), "loss"):
        provided |= dict.fromkeys(node.traits("provides"), node.path)
    for node in _in_place_of(config, "generator"):
        provided |= dict.fromkeys(node.traits("provides"), node.path)
    for node in discriminators(config):
        provided |= dict.fromkeys(node.traits("provides"), node.path)
        for (key, value), trait in SETTINGS.items():
            if node.values.get(key) == value:
                provided[trait] = f"{node.path}.{key}"
        if node.values.get("conditional") is True:
            provided["conditional"] = f"{node.path}.conditional"
            if (conditioning := str(node.values.get("conditioning"))) in CONDITIONING:
                provided[CONDITIONING[conditioning]] = f"{node.path}.conditioning"
    if at(config, "player", "discriminator", "weight_clip") is not None:
        provided["weight_clipping"] = "player.discriminator.weight_clip"
    if is_alone(config):  # a sample alone has no others to mix with
        provided = {trait: path for trait, path in provided.items() if trait not in ("batch_norm", "coupled_samples")}
    return provided


def is_alone(config: dict[str, Any]) -> bool:
    """Whether every process sees one sample at a time."""
    batch, *shares = (at(config, "trainer", key) for key in ("batch_size", "devices", "accumulate"))
    return isinstance(batch, int) and batch == math.prod(share for share in shares if isinstance(share, int))


def discriminators(config: dict[str, Any]) -> Iterator[Node]:
    """Components of the model in a place that is called a discriminator or critic."""
    return _in_place_of(config, "discriminator", "critic")


def _in_place_of(config: dict[str, Any], *roles: str) -> Iterator[Node]:
    for node in nodes(config.get("model"), "model"):
        if any(part.startswith(roles) for part in node.path.split(".")[1:]):
            yield node


def nodes(value: Any, path: str) -> Iterator[Node]:
    """Components in ``value``, outermost first; those that may not be built are left to the validator."""
    if isinstance(value, dict):
        if "_target_" in value:
            try:
                yield Node(path, value, describe(value["_target_"]))
            except ConfigError:
                return
        for key, item in value.items():
            yield from nodes(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, f"{path}.{index}")


def at(config: Any, *keys: str) -> Any:
    """The value at a path; ``None`` where a malformed configuration ends early."""
    for key in keys:
        config = config.get(key) if isinstance(config, dict) else None
    return config
