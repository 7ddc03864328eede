"""What demonstrations have in common."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Term
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.wasserstein import Wasserstein
from ganrun.sampling.pictures import Pixels

MMGAN = Minimax(real_target=1.0, fake_target=0.0, flip_probability=0.0)
NSGAN = NonSaturating(real_target=1.0, fake_target=0.0, flip_probability=0.0)
WGAN = Wasserstein()


class Demonstration(NamedTuple):
    """A table and a picture.

    Args:
        header: of the table's columns.
        rows: of the table.
        picture: uint8 ``[height, width, 3]``.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    picture: Pixels


def objective_of(loss: AdversarialLoss, penalty: Term | None) -> Objective:
    """A loss and a penalty that the discriminator minimises, too."""
    terms = {} if penalty is None else {"penalty": penalty}
    return Objective(
        loss, normaliser=None, discriminator_terms=terms, generator_terms={}, critic_steps=1, top_k=None, augment={}
    )


def total(terms: Terms) -> Tensor:
    """Their sum."""
    return torch.stack(list(terms.values())).sum()
