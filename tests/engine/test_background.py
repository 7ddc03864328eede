"""The background: jobs in order, few of them left, errors told, and nothing of training's own in them."""

from __future__ import annotations

import copy
import errno
import subprocess
import sys
import threading
import time

import pytest
import torch
from toys import Duel, Pyramid, make_game, make_trainer, same

from ganrun.core.errors import RunError
from ganrun.core.tensors import snapshot
from ganrun.engine.background import MOST_LEFT, Background
from ganrun.engine.checkpoint import Checkpoints, read_checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook
from ganrun.engine.painter import Painter
from ganrun.engine.trainer import Trainer

SLOW = 0.4


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("background")]


@pytest.fixture
def background():
    background = Background()
    yield background
    background.close()
    assert not threads()


@pytest.fixture
def held(background):
    """What keeps the background busy until it is set."""
    event = threading.Event()
    background.submit(event.wait)
    yield event
    event.set()


def test_jobs_are_done_in_order_by_another_thread(background):
    assert not threads(), "processes may be forked before the first job"
    done = []
    for number in range(100):
        background.submit(lambda number=number: done.append((number, threading.current_thread())))
    background.wait()
    assert [number for number, _ in done] == list(range(100))
    assert {thread for _, thread in done} == set(threads()) != {threading.current_thread()}


def test_an_error_is_raised_at_the_next_call_and_drops_what_came_after(background, held):
    done = []

    def fail():
        raise RunError("the disk is full")

    for job in (lambda: done.append("before"), fail, lambda: done.append("behind")):
        background.submit(job)
    held.set()
    with pytest.raises(RunError, match="the disk is full"):
        background.wait()
    with pytest.raises(RunError, match="the disk is full"):
        background.submit(lambda: done.append("later"))
    background.close()
    assert done == ["before"]


def test_who_hands_over_too_much_waits(background, held):
    for _ in range(MOST_LEFT - 1):
        background.submit(lambda: None)
    one_more = threading.Thread(target=background.submit, args=(lambda: None,))
    one_more.start()
    one_more.join(0.2)
    assert one_more.is_alive()
    held.set()
    one_more.join(5)
    assert not one_more.is_alive()


def test_a_job_can_be_waited_for_without_those_behind_it(background, held):
    done = []
    first = background.submit(lambda: done.append("first"))
    release = threading.Event()
    background.submit(release.wait)
    background.submit(lambda: done.append("second"))
    held.set()
    background.wait(first)
    assert done == ["first"]
    release.set()
    background.wait()
    assert done == ["first", "second"]


def test_its_own_time_is_counted(background):
    background.submit(lambda: time.sleep(0.1))
    background.wait()
    assert 0.1 <= background.seconds < 0.3


def test_a_program_that_breaks_off_lets_it_finish(tmp_path):
    program = (
        "import pathlib, sys, time\n"
        "from ganrun.engine.background import Background\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "Background().submit(lambda: (time.sleep(0.5), path.write_text('written')))\n"
        "raise RuntimeError('broken')\n"
    )
    path = tmp_path / "file"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, timeout=60, text=True)
    assert ended.returncode == 1
    assert "RuntimeError: broken" in ended.stderr
    assert path.read_text() == "written"


def test_a_snapshot_shares_nothing():
    tensor = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last).requires_grad_()
    state = {"a": [tensor, (1, tensor.detach()[0])], "b": {"c": "text"}}
    taken = snapshot(state)
    expected = tensor.detach().clone()
    with torch.no_grad():
        tensor.zero_()
    state["b"]["c"] = "other"
    state["a"].append(2)
    assert same(taken, {"a": [expected, (1, expected[0])], "b": {"c": "text"}})
    assert taken["a"][0].stride() == tensor.stride()
    assert not taken["a"][0].requires_grad


@pytest.fixture
def slow_disk(monkeypatch):
    """Checkpoints take long to write."""
    fast = torch.save

    def save(state, file):
        time.sleep(SLOW)
        fast(state, file)

    monkeypatch.setattr(torch, "save", save)


class Watch:
    """Helper that keeps the state after every few steps, and counts them."""

    def __init__(self, every=5):
        self.every = every
        self.states = {}
        self.steps = 0

    def begin(self, trainer):
        pass

    finish = begin

    def after_step(self, trainer):
        self.steps = trainer.step
        if trainer.step % self.every == 0:
            self.states[trainer.step] = copy.deepcopy(trainer.state_dict())


def train(folder, steps, every, kind=Duel, watch=None):
    folder, watch = RunFolder(folder), watch or Watch()
    logbook = Logbook(folder, 5, {"seed": 0}, {})
    trainer = make_trainer(steps, helpers=[watch, logbook, Checkpoints(folder, every, 99, {}, logbook)])
    try:
        trainer.fit(make_game(kind))
    finally:
        logbook.close(True)
    return watch


@pytest.mark.parametrize("kind", [Duel, Pyramid])
def test_a_checkpoint_is_of_its_moment_however_long_the_writing_takes(tmp_path, slow_disk, kind):
    states = train(tmp_path, 8, 5, kind).states
    assert list(states) == [5] if kind is Duel else [5, 10, 15, 20]
    for step, state in states.items():
        written = read_checkpoint(tmp_path / "checkpoints" / f"step_{step:08d}.pt")
        assert same({key: written[key] for key in state}, state), step


def test_training_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    """What is saved at step 6 can be written from step 11 on, which training reaches before."""
    save, may_write = torch.save, threading.Event()

    def stuck(state, file):
        assert may_write.wait(30), "training waits for the disk, which waits for training"
        save(state, file)

    class Opens(Watch):
        def after_step(self, trainer):
            super().after_step(trainer)
            if trainer.step == 11:
                assert not list(tmp_path.glob("checkpoints/*.pt"))
                may_write.set()

    monkeypatch.setattr(torch, "save", stuck)
    train(tmp_path, 12, 6, watch=Opens())
    assert (tmp_path / "checkpoints" / "step_00000012.pt").exists(), "the end waits"


def test_one_copy_of_the_state_is_held_at_a_time(tmp_path, slow_disk, monkeypatch):
    state_dict, written = Trainer.state_dict, []

    def copied(trainer):
        written.append(len(list(tmp_path.glob("checkpoints/*.pt"))))
        return state_dict(trainer)

    class Blind(Watch):
        def after_step(self, trainer):
            pass

    monkeypatch.setattr(Trainer, "state_dict", copied)
    train(tmp_path, 6, 2, watch=Blind())
    assert written == [0, 1, 2, 3]  # at 2, 4, 6, and at the end once more: what was saved before is written by then


def test_a_full_disk_ends_training_soon(tmp_path, monkeypatch):
    save = torch.save

    def full(state, file):
        if state["step"] > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    watch = Watch()
    with pytest.raises(RunError, match=r"step_00000006.pt: the disk is full. The last good .*step_00000003.pt. Mend"):
        train(tmp_path, 10_000, 3, watch=watch)
    assert watch.steps < 1_000
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000003.pt"]


def test_the_last_good_checkpoint_may_be_in_the_writing(tmp_path, slow_disk):
    class Broken(Duel):
        def play(self, stream):
            for move in super().play(stream):
                broken = self.statistics.step == 8
                yield {
                    who: {tag: term / (0 if broken else 1) for tag, term in terms.items()}
                    for who, terms in move.items()
                }

    with pytest.raises(RunError, match=r"at step 8. The last good checkpoint is .*step_00000006.pt"):
        train(tmp_path, 12, 6, Broken)


def test_pictures_look_alike_in_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path)
    logbook = Logbook(folder, 5, {"seed": 0}, {})
    trainer = make_trainer(4, helpers=[Painter(folder, 2, 4, logbook), logbook])
    trainer.fit(make_game())
    logbook.close(True)
    assert [path.name for path in sorted(folder.samples.iterdir())] == [f"generated_{n:08d}.png" for n in (0, 2, 4)]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    shown = events.Images("samples/generated")
    assert [image.step for image in shown] == [2, 4]
    for image in shown:
        path = folder.samples / f"generated_{image.step:08d}.png"
        assert image.encoded_image_string == path.read_bytes()
        assert int.from_bytes(path.read_bytes()[16:20]) == image.width
