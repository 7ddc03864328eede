"""Checkpoints on disk: atomic, restricted, pruned, robust against damage and a full disk; the folder's lock."""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import subprocess
import sys

import pytest
import torch
from toys import make_game, make_trainer, same

from ganrun.core.errors import RunError
from ganrun.core.files import write_text
from ganrun.engine.checkpoint import Checkpoints, choose, newest, read_checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def fit(folder, steps=12, every=3, keep=2, mark_best=None, checkpoint=None):
    logbook = Logbook(folder, 5, {"seed": 0}, {})

    class Marker:
        def begin(self, trainer):
            pass

        finish = begin

        def after_step(self, trainer):
            if trainer.step == mark_best:
                trainer.best = {"step": trainer.step, "metric": "fid", "value": 1.0}

    helper = Checkpoints(folder, every, keep, {"seed": 0, "trainer": {"steps": steps}}, logbook)
    trainer = make_trainer(steps, helpers=[Marker(), logbook, helper], checkpoint=checkpoint)
    try:
        trainer.fit(make_game())
    finally:
        logbook.close(True)
    return trainer


def names(folder):
    return [path.name for path in folder.list_checkpoints()]


def test_keeps_the_newest_and_the_best(folder):
    fit(folder, mark_best=4)
    assert names(folder) == ["step_00000004.pt", "step_00000009.pt", "step_00000012.pt"]
    assert choose(folder, "best")["step"] == 4
    assert choose(folder, "last")["step"] == 12
    assert choose(folder, 9)["step"] == 9
    with pytest.raises(RunError, match="no checkpoint of step 5; there are: 4, 9, 12"):
        choose(folder, 5)


def test_describes_itself_and_loads_without_running_code(folder):
    trainer = fit(folder)
    state = torch.load(folder.checkpoints / "step_00000012.pt", weights_only=True)
    assert state["config"] == {"seed": 0, "trainer": {"steps": 12}}
    assert state["versions"]["torch"] == torch.__version__
    assert state["facts"]["fingerprint"] == "abc"
    assert same(state["game"], trainer.state_dict()["game"])


def test_code_in_a_checkpoint_is_not_run(folder, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    folder.checkpoints.mkdir(parents=True)
    path = folder.checkpoints / "step_00000001.pt"
    torch.save({"format": 1, "attack": Attack()}, path)
    with pytest.raises(RunError, match="damaged"):
        read_checkpoint(path)
    assert not (tmp_path / "owned").exists()
    assert pickle.HIGHEST_PROTOCOL


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "empty"])
def test_damaged_newest_falls_back_with_a_warning(folder, caplog, damage):
    fit(folder)
    path = folder.checkpoints / "step_00000012.pt"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    else:
        content[content.index(b"fingerprint")] ^= 1  # padding between the parts has no checksum
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        state = newest(folder)
    assert state["step"] == 9
    assert "step_00000012.pt is damaged" in caplog.text
    assert names(folder) == ["step_00000006.pt", "step_00000009.pt"][-1:]
    assert same(fit(folder, checkpoint=state).state_dict()["game"], fit(folder).state_dict()["game"])


def test_nothing_readable_is_an_error_and_nothing_at_all_is_not(folder):
    assert newest(folder) is None
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / "step_00000001.pt").write_bytes(b"")
    for _ in range(2):  # asking again must not start the run afresh over what is left of it
        with pytest.raises(RunError, match="none of the 1 checkpoints"):
            newest(folder)


def test_newer_format_is_refused(folder):
    folder.checkpoints.mkdir(parents=True)
    torch.save({"format": 99, "versions": {"ganrun": "9.0"}}, folder.checkpoints / "step_00000001.pt")
    with pytest.raises(RunError, match=r"written by a newer ganrun \(9.0\)"):
        read_checkpoint(folder.checkpoints / "step_00000001.pt")


def test_full_disk_names_the_last_good_checkpoint(folder, monkeypatch):
    fit(folder, steps=6)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match=r"the disk is full. The last good checkpoint is .*step_00000006.pt. Mend"):
        fit(folder, steps=9, checkpoint=read_checkpoint(folder.checkpoints / "step_00000006.pt"))
    assert not list(folder.checkpoints.glob("*.part"))
    assert read_checkpoint(folder.checkpoints / "step_00000006.pt")["step"] == 6


def test_broken_loss_names_step_term_and_last_good_checkpoint(folder):
    class Broken(type(make_game())):
        def play(self, stream):
            for move in super().play(stream):
                if self.statistics.step == 8 and "generator" in move:
                    move["generator"]["adversarial"] = move["generator"]["adversarial"] * float("nan")
                yield move

    logbook = Logbook(folder, 5, {}, {})
    trainer = make_trainer(12, helpers=[logbook, Checkpoints(folder, 3, 5, {}, logbook)])
    with pytest.raises(
        RunError, match=r"loss/generator/adversarial became nan at step 8. .*step_00000006.pt. Start a new run"
    ):
        trainer.fit(Broken())
    logbook.close(False)
    assert names(folder) == ["step_00000003.pt", "step_00000006.pt"]


def test_curves_go_on_where_the_checkpoint_was_made(folder):
    fit(folder, steps=12, every=3, keep=9)
    fit(folder, steps=12, checkpoint=read_checkpoint(folder.checkpoints / "step_00000003.pt"))
    steps = [json.loads(line)["step"] for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder.path), size_guidance={"scalars": 0})
    events.Reload()
    shown = [event.step for event in events.Scalars("loss/generator/adversarial")]
    assert shown == sorted(set(shown))
    assert shown[-1] == 12


def test_two_processes_cannot_share_a_folder(folder):
    hold = "import sys, pathlib; from ganrun.engine.folder import RunFolder; f = RunFolder(pathlib.Path(sys.argv[1]))\n"
    hold += "with f.locked(): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is training in it"), folder.locked():
            pass
        other.stdin.close()
    with folder.locked():
        pass


def test_atomic_text_leaves_no_trace_of_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    write_text(path, "old")

    def broken(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
