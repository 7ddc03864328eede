"""Ranges of arguments, as annotations: read from the source, so that a wrong value is refused before anything is built.

``lr: Positive`` is a ``float`` for the type checker and for Python. Other ranges are written in place:
``Annotated[float, "> -1", "< 1"]``.
"""

from __future__ import annotations

from typing import Annotated

Positive = Annotated[float, "> 0"]
NonNegative = Annotated[float, ">= 0"]
Fraction = Annotated[float, ">= 0", "<= 1"]
PositiveInt = Annotated[int, ">= 1"]
NonNegativeInt = Annotated[int, ">= 0"]
