"""One of the domains of a data set, as a data set of its own."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ganrun.core.types import Batch, Dataset


class OneDomain:
    """A view of one domain; labels and other conditions belong to the first.

    Args:
        dataset: of several domains.
        number: of the domain, from 0.
    """

    def __init__(self, dataset: Dataset, number: int) -> None:
        self.dataset = dataset
        self.number = number
        facts = replace(
            dataset.facts,
            count=(dataset.facts.count[number],),
            domains=1,
            fingerprint=f"{dataset.facts.fingerprint}_{number}",
        )
        self.facts = replace(facts, classes=0, class_names=(), condition="", condition_size=0) if number else facts

    def place(self, device: str) -> None:
        """Move all domains to ``device``."""
        self.dataset.place(device)

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        """Samples at ``indices``, of this domain only."""
        return self._of(self.dataset.fetch(self._everywhere(indices), augment))

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        """Announce a coming :meth:`fetch`."""
        self.dataset.prefetch(self._everywhere(indices))

    def examples(self, count: int) -> Batch:
        """``count`` fixed samples of this domain."""
        return self._of(self.dataset.examples(count))

    def _everywhere(self, indices: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Indices into every domain, since all are fetched together."""
        (chosen,) = indices
        return tuple(chosen % available for available in self.dataset.facts.count)

    def _of(self, batch: Batch) -> Batch:
        return Batch((batch.domains[self.number],), None if self.number else batch.condition)
