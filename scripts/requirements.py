"""What ganrun and its tests need, one requirement a line, as ``pyproject.toml`` says.

python scripts/requirements.py
"""

from __future__ import annotations

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

if __name__ == "__main__":
    print("\n".join([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]))
