"""Names of sweeps and of their runs: functions of what was typed, so that the same command finds the same folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

LONGEST_LABEL = 100  # file systems allow 255 bytes; paths stay readable below that
BESIDE = ("hydra", "sweep", "run", "name", "dataset.root", "dataset.download", "trainer.device", "trainer.threads")
"""Keys that say where and how a run is trained, not which run it is; with all that lies below them."""


def path_safe(text: object, longest: int = LONGEST_LABEL) -> str:
    """``text`` as one short component of a path."""
    return re.sub(r"[^\w.,=+-]+", "-", str(text))[:longest].strip("-.,") or "default"


def key_of(override: str) -> str:
    """``optimizer.generator.lr`` of ``+optimizer.generator.lr=1e-4``."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def identity(overrides: Iterable[str]) -> list[str]:
    """Those overrides that tell one run from another."""
    return [o for o in overrides if not any(f"{key_of(o)}.".startswith((f"{key}.", f"{key}/")) for key in BESIDE)]


def digest(overrides: Iterable[str]) -> str:
    """8 hex digits over the identity of a run."""
    return hashlib.sha256("\n".join(sorted(identity(overrides))).encode()).hexdigest()[:8]


def run_name(overrides: Iterable[str], swept: Iterable[str]) -> str:
    """Folder of a run below its sweep: what tells it from its neighbours, and its :func:`digest`.

    Args:
        overrides: of the run.
        swept: keys that have several values in the sweep.
    """
    overrides, swept = list(overrides), set(swept)
    readable = ",".join(override for override in sorted(identity(overrides)) if key_of(override) in swept)
    return f"{path_safe(readable, LONGEST_LABEL - 9)}_{digest(overrides)}"


def sweep_name(overrides: Iterable[str], swept: Iterable[str]) -> str:
    """Folder of a sweep: the values that all its runs share, and the keys that are swept.

    Args:
        overrides: as typed, those of the swept keys among them.
        swept: keys that have several values.
    """
    swept = set(swept)
    words = [key_of(override) if key_of(override) in swept else override for override in sorted(identity(overrides))]
    label = path_safe(",".join(words))
    return label if len(label) < LONGEST_LABEL - 9 else f"{label[: LONGEST_LABEL - 9]}_{digest(words)}"
