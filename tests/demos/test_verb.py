"""``ganrun demo``, as it is typed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ganrun import cli, demos
from ganrun.config.annotations import Choice, read_type
from ganrun.config.demo import demo
from ganrun.config.targets import read
from ganrun.demos import dirac_gan


def test_table_and_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dirac_gan, "STEPS", 2)
    assert demo({"name": "dirac_gan", "output": None}) == Path("outputs/demos/dirac_gan.png")
    with Image.open("outputs/demos/dirac_gan.png") as picture:
        assert picture.width > 1000
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert len({len(line) for line in lines}) == 1
    assert demo({"name": "dirac_gan", "output": "new/here.png"}).exists()


def test_every_demonstration_can_be_named():
    files = {path.stem for path in Path(demos.__file__).parent.glob("*.py")} - {"__init__", "base"}
    source = read("ganrun.config.schema")
    (named,) = (
        node
        for node in ast.walk(source.definitions["DemoConfig"])
        if isinstance(node, ast.AnnAssign) and node.target.id == "name"
    )
    kind = read_type(named.annotation, source)
    assert isinstance(kind, Choice)
    assert set(kind.options) == files


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name: needs a value: one of dirac_gan, parallel_lines, transport. Give it with name=VALUE."),
        (
            ["name=dirac"],
            "one of dirac_gan, parallel_lines, transport, not 'dirac'. Did you mean dirac_gan?",
        ),
        (["name=dirac_gan", "outptu=x"], "outptu: the configuration has no 'outptu'. Did you mean output?"),
    ],
)
def test_mistakes_are_told_without_importing_torch(tmp_path, arguments, told):
    script = (
        "import sys\nfrom ganrun.cli import run\n"
        f"code = run(['demo', *{arguments}])\n"
        "assert code == 1, code\nassert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_place_for_a_picture(tmp_path):
    command = [sys.executable, "-m", "ganrun", "demo", "name=transport", f"output={tmp_path}"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 1
    assert f"cannot write {tmp_path}: a folder is where a file should be. Choose another place." in told.stderr
    assert "Traceback" not in told.stderr
