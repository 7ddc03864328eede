"""Installed from a wheel, outside the checkout, the command works the same."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that holds what the wheel installs."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(CHECKOUT)], check=True)
    (wheel,) = wheels.glob("ganrun-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    names = zipfile.ZipFile(wheel).namelist()
    data = {"ganrun/conf/config.yaml", "ganrun/data/palettes/facades.csv", "ganrun/report/report.html.j2"}
    assert data <= set(names)
    assert not [name for name in names if name.startswith(("tests", "outputs", "conf"))]
    return target


def ganrun(installed: Path, folder: Path, *arguments: str) -> str:
    """Run the installed command in ``folder``; ``-P`` keeps the current directory off the module path."""
    finished = subprocess.run(
        [sys.executable, "-P", "-m", "ganrun", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout + finished.stderr


@pytest.mark.slow
def test_wheel_trains_outside_the_checkout(installed, tmp_path):
    where = "import ganrun.config.paths as p; print(p.conf_folder())"
    found = subprocess.run(
        [sys.executable, "-P", "-c", where],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(installed / "ganrun" / "conf")
    assert "dcgan_small" in ganrun(installed, tmp_path, "--help")
    small = ("debug=smoke", "model.generator.width=4", "model.discriminator.width=4")
    assert "finished at step 4" in ganrun(installed, tmp_path, *small)
    assert len(list((tmp_path / "outputs").glob("*/*/status.json"))) == 1
