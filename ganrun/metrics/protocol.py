"""How scores were made. A score without its protocol means nothing, and only scores with like protocols compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Generic, NamedTuple, TypeVar

Row = TypeVar("Row")
"""What a score is a score of."""


@dataclass(frozen=True)
class Stamp:
    """The protocol of one evaluation.

    Args:
        extractor: name of the feature extractor; ``none`` where no metric used one.
        extractor_identity: hash of its weights.
        resize: how images reach the extractor's resolution.
        real: real images compared with.
        generated: generated samples.
        split: part of the data that the real images are from.
        quantised: ``uint8`` for images, ``no`` for points.
        weights: ``ema`` or ``raw`` weights of the generator; ``unknown`` for images made elsewhere.
        truncation: of the latents, in standard deviations, or ψ of styles; ``None``: none.
        seed: of the latents; ``None``: unknown.
        data: fingerprint of the data set.
        version: of ganrun.
        settings: ``(metric, its settings)`` pairs.
    """

    extractor: str
    extractor_identity: str
    resize: str
    real: int
    generated: int
    split: str
    quantised: str
    weights: str
    truncation: float | None
    seed: int | None
    data: str
    version: str
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def hash(self) -> str:
        """8 hex digits over all that decides whether scores compare: the seed and other metrics' settings do not."""
        content = asdict(self) | {"seed": None, "settings": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the hash among them."""
        return {"hash": self.hash} | asdict(self) | {"settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Stamp:
        """The stamp that :meth:`as_dict` wrote."""
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**known | {"settings": tuple(sorted(values["settings"].items()))})

    def __str__(self) -> str:
        parts = [
            f"{self.generated:,} generated, {self.real:,} real ({self.split}, {self.data[:8]})",
            f"{self.extractor} {self.extractor_identity.rpartition('_')[2][:8]}".strip(),
            self.resize,
            f"{self.weights} weights",
            "no truncation" if self.truncation is None else f"truncation {self.truncation:g}",
            f"ganrun {self.version}",
        ]
        return f"[{self.hash}] " + ", ".join(part for part in parts if part)


class Column(NamedTuple, Generic[Row]):
    """Scores that may stand in one column.

    Args:
        stamp: of one of them; the hash of all.
        header: tag of the scores, with the metric's settings where the same tag was computed in two ways.
        scores: row -> score.
    """

    stamp: Stamp
    header: str
    scores: dict[Row, float]


def columns(scores: Iterable[tuple[Row, Stamp, Mapping[str, float]]]) -> dict[str, list[Column[Row]]]:
    """Sort scores so that no column holds unlike ones.

    Args:
        scores: ``(row, stamp, tag -> score)``.

    Returns:
        Stamp hash -> the columns of its table, in the order in which they came.
    """
    tables: dict[str, dict[tuple[str, str], Column[Row]]] = {}
    for row, stamp, values in scores:
        table = tables.setdefault(stamp.hash, {})
        for tag, score in values.items():
            settings = dict(stamp.settings).get(tag.replace("_std", "", 1), "")  # a deviation is its metric's
            column = table.setdefault((tag, settings), Column(stamp, tag, {}))
            column.scores[row] = score
    return {name: [_headed(table, key) for key in table] for name, table in tables.items()}


def _headed(table: Mapping[tuple[str, str], Column[Row]], key: tuple[str, str]) -> Column[Row]:
    tag, settings = key
    ambiguous = sum(other == tag for other, _ in table) > 1
    return table[key]._replace(header=f"{tag} ({settings})" if ambiguous else tag)
