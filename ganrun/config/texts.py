"""Texts that a user asks for, as the vectors that a run was trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ganrun.config.build import build
from ganrun.config.words import listing
from ganrun.core.errors import RunError
from ganrun.core.facts import Facts
from ganrun.data.text import words
from ganrun.games.base import Game

log = logging.getLogger(__name__)


def vectors_of(texts: str | Sequence[str], game: Game, config: dict[str, Any], facts: Facts) -> Tensor:
    """Vectors ``[texts, D]`` of one text or several, by the run's own encoder and vocabulary; its data are not needed.

    Words that the encoder does not know are told in a warning.

    Args:
        texts: what to draw.
        game: of the run.
        config: of the run.
        facts: of the data that it was trained on.

    Raises:
        RunError: the game draws no texts; a text is empty, or none of its words is known.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if game.needs != "texts":
        raise RunError(f"{type(game).__name__} draws no texts. Leave text out.")
    if not texts or not all(text.strip() for text in texts):
        raise RunError('A text is empty. Say what to draw: text="a red circle"')
    encoder = build(config["dataset"]["encoder"], path="dataset.encoder")
    vectors: Tensor = encoder.encode(texts, facts.vocabulary)
    for text, vector in zip(texts, vectors, strict=True):
        if not vector.any():
            raise RunError(
                f"The run knows no word of {text!r}. It was trained on captions like: {listing(facts.vocabulary[:20])}."
            )
    if facts.vocabulary:
        heard = dict.fromkeys(words(" ".join(texts)))
        if unknown := [word for word in heard if not encoder.encode([word], facts.vocabulary).any()]:
            log.warning("words that the run does not know are left out: %s", listing(unknown))
    return vectors
