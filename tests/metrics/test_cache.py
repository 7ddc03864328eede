from __future__ import annotations

import multiprocessing
import threading
import time

import pytest
import torch

from ganrun.core.files import cache_folder
from ganrun.metrics.cache import remember


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_made_once_per_key(folder):
    calls = []

    def make():
        calls.append(1)
        return {"value": torch.arange(3), "accuracy": 0.5}

    for _ in range(2):
        kept = remember(("thing", "a", 1), make)
        assert kept["value"].tolist() == [0, 1, 2]
        assert kept["accuracy"] == 0.5
    remember(("thing", "a", 2), make)
    assert len(calls) == 2
    assert len(list((folder / "metrics").glob("thing_*.pt"))) == 2


def test_a_damaged_file_is_made_again(folder, caplog):
    remember(("thing",), lambda: {"value": 1})
    (path,) = (folder / "metrics").glob("*.pt")
    path.write_bytes(path.read_bytes()[:50])
    assert remember(("thing",), lambda: {"value": 2}) == {"value": 2}
    assert "cannot be read" in caplog.text
    assert remember(("thing",), lambda: {"value": 3}) == {"value": 2}


def test_a_folder_that_cannot_be_written_costs_only_the_memory(folder, caplog):
    folder.write_text("a file where the folder should be")
    assert remember(("thing",), lambda: {"value": 1}) == {"value": 1}
    assert "cannot keep" in caplog.text


def test_what_threads_want_at_once_is_made_once(folder):
    calls, seen = [], []

    def work(value):
        def make():
            calls.append(value)
            time.sleep(0.2)
            return {"value": torch.full((1000,), value)}

        seen.append(remember(("thing",), make)["value"])

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert all(torch.equal(found, torch.full((1000,), calls[0])) for found in seen)


def _wait_and_make(folder, number):
    """Work of another process."""
    import os
    import time

    os.environ["GANRUN_CACHE"] = str(folder)

    def make():
        time.sleep(0.5)
        (folder / f"made_by_{number}").touch()
        return {"value": number}

    remember(("shared",), make)


def test_processes_that_want_it_at_once_make_it_once(folder):
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_wait_and_make, args=(folder, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    (made,) = folder.glob("made_by_*")
    assert made.name == f"made_by_{remember(('shared',), lambda: pytest.fail('nothing was kept'))['value']}"


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GANRUN_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ganrun"
