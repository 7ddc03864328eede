from __future__ import annotations

import threading

import pytest
import torch

from ganrun.metrics.cache import cache_folder, remember


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
    (path,) = (folder / "metrics").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert remember(("thing",), lambda: {"value": 2}) == {"value": 2}
    assert "cannot be read" in caplog.text
    assert remember(("thing",), lambda: {"value": 3}) == {"value": 2}


def test_a_folder_that_cannot_be_written_costs_only_the_memory(folder, caplog):
    folder.write_text("a file where the folder should be")
    assert remember(("thing",), lambda: {"value": 1}) == {"value": 1}
    assert "cannot keep" in caplog.text


def test_writers_at_the_same_time_leave_one_whole_file(folder):
    barrier = threading.Barrier(4)

    def work(value):
        def make():
            barrier.wait()
            return {"value": torch.full((1000,), value)}

        remember(("thing",), make)

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list((folder / "metrics").iterdir())) == 1
    assert len(remember(("thing",), lambda: pytest.fail("nothing was kept"))["value"].unique()) == 1


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GANRUN_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ganrun"
