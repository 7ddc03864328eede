"""Files of the data that scikit-learn ships, found without importing it: that takes as long as importing torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def shipped(name: str) -> Path:
    """Path of a file below ``sklearn/datasets``.

    Raises:
        FileNotFoundError: this version of scikit-learn has no such file.
    """
    spec = find_spec("sklearn")
    places = (spec and spec.submodule_search_locations) or []
    for place in places:
        if (path := Path(place, "datasets", name)).exists():
            return path
    raise FileNotFoundError(name)
