"""Sentences that several error messages share."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """``Did you mean X?`` where one of ``options`` is near ``word``; empty otherwise."""
    near = get_close_matches(word, list(options), n=1)
    return f"Did you mean {near[0]}?" if near else ""


def listing(options: Iterable[str]) -> str:
    """``a, b, c``, or ``none``."""
    return ", ".join(options) or "none"


def sentences(*parts: str) -> str:
    """Join sentences, leaving out empty ones."""
    return " ".join(part for part in parts if part)
