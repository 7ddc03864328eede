"""What a run was made from: the overrides that were typed, and the options of the groups that say what it is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from hydra.core.hydra_config import HydraConfig

from ganrun.engine.folder import RunFolder
from ganrun.sweep.naming import identity, key_of

GROUPS = ("model", "loss", "dataset")


@dataclass(frozen=True)
class Origin:
    """Where a configuration came from.

    Args:
        overrides: that were typed.
        choices: group -> option, for each of the GROUPS.
    """

    overrides: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_this_job(cls) -> Origin:
        """Of the configuration that Hydra has just composed."""
        job = HydraConfig.get()
        return cls(list(job.overrides.task), {group: str(job.runtime.choices[group]) for group in GROUPS})

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def since_the_beginning(origin: Origin, folder: RunFolder) -> Origin:
    """What the run in ``folder`` was first made from, with the overrides of this start on top."""
    recorded = folder.environment()
    if not recorded:
        return origin
    overrides = {key_of(override): override for override in [*recorded.get("overrides", []), *origin.overrides]}
    return Origin(list(overrides.values()), recorded.get("choices", {}))


def hyperparameters(origin: Origin, seed: int) -> dict[str, str | float]:
    """What the HPARAMS tab shows of a run: model, loss, data set, seed, and whatever was typed besides."""
    texts = {key_of(override): override.partition("=")[2] or "left out" for override in identity(origin.overrides)}
    typed = {key: number_or_text(text) for key, text in texts.items()}
    return origin.choices | typed | {"seed": str(seed)}  # a label rather than a quantity


def number_or_text(text: str) -> str | float:
    """A number where ``text`` is one; nan and infinities stay text, because JSON has none."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
