"""Errors meant for the person at the terminal: they are printed without a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GanrunError(Exception):
    """A user's mistake or a fact of the machine: one sentence of cause, one of remedy."""


class DataError(GanrunError):
    """The data could not be found, read or used as asked."""


class RunError(GanrunError):
    """A run folder cannot be used, or training cannot go on."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration.

    Args:
        path: dotted path of the value, as it would be typed on the command line.
        cause: what is wrong, as a clause.
        remedy: what to do about it; may be empty.
    """

    path: str
    cause: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}." + (f" {self.remedy}" if self.remedy else "")


class ConfigError(GanrunError):
    """Everything that is wrong with a configuration, in one message."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{head} in the configuration; nothing was started.\n{lines}")

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Problem]]]:
        return type(self), (self.problems,)
