"""What a run folder remembers of its sessions."""

from __future__ import annotations

import json
import sys

from ganrun.core.facts import Facts
from ganrun.engine.folder import RunFolder

FACTS = Facts("points", shape=(2,), count=(8,), description="eight points")


def test_commands_of_all_sessions_are_kept(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    assert folder.commands() == []
    commands = [["ganrun", "loss=hinge"], ["ganrun", "run=x", "trainer.steps=9"]]
    for command in commands:
        monkeypatch.setattr(sys, "argv", command)
        folder.write_environment(FACTS, "CPU")
    assert folder.commands() == commands
    assert json.loads((tmp_path / "environment.json").read_text())["device"] == "CPU"


def test_a_damaged_record_is_begun_anew(tmp_path, monkeypatch):
    (tmp_path / "environment.json").write_text("{")
    monkeypatch.setattr(sys, "argv", ["ganrun"])
    RunFolder(tmp_path).write_environment(FACTS, "CPU")
    assert RunFolder(tmp_path).commands() == [["ganrun"]]
