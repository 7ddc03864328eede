"""Fixtures of the tests of sweeps."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from commands import Command


@pytest.fixture
def sweep(tmp_path) -> Iterator[Callable[..., Command]]:
    """``sweep("seed=0,1", name="x")``: a sweep that is being trained; nothing is left of it after the test."""
    begun = []

    def start(*arguments: str, name: str = "sweep", **more: Any) -> Command:
        begun.append(Command(tmp_path / name, *arguments, **more))
        return begun[-1]

    yield start
    for command in begun:
        command.kill()
