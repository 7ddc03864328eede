import errno
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from ganrun.core.errors import DataError
from ganrun.data import cache as cache_module
from ganrun.data.cache import cached

SETTINGS = {"source": "abc", "size": 4}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


class Producer:
    """Yields two blocks and counts how often it was asked."""

    def __init__(self, labelled=True):
        self.calls = 0
        self.images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
        self.labels = np.arange(5) if labelled else None

    def __call__(self):
        self.calls += 1
        for part in (slice(0, 3), slice(3, 5)):
            yield self.images[part], None if self.labels is None else self.labels[part]


@pytest.mark.parametrize("labelled", [True, False])
def test_made_once_and_read_back(cache, labelled):
    produce = Producer(labelled)
    first = cached("set", SETTINGS, produce)
    again = cached("set", SETTINGS, produce)
    assert produce.calls == 1
    assert first.digest == again.digest
    np.testing.assert_array_equal(again.images, produce.images)
    if labelled:
        np.testing.assert_array_equal(again.labels, produce.labels)
    else:
        assert again.labels is None


def test_other_settings_are_another_entry(cache):
    produce = Producer()
    cached("set", SETTINGS, produce)
    cached("set", SETTINGS | {"size": 8}, produce)
    assert produce.calls == 2


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("images.npy", lambda data: data[:-7]),
        ("images.npy", lambda data: data[:-7] + bytes([data[-7] ^ 1]) + data[-6:]),
        ("images.npy", lambda data: b""),
        ("labels.npy", lambda data: data[:20]),
        ("cache.json", lambda data: b"{"),
        ("cache.json", None),
        ("images.npy", None),
        ("labels.npy", None),
    ],
)
def test_damaged_entry_is_made_again(cache, caplog, file, damage):
    produce = Producer()
    cached("set", SETTINGS, produce)
    (path,) = cache.glob(f"set-*/{file}")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = cached("set", SETTINGS, produce)
    assert produce.calls == 2
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(again.images, produce.images)


@pytest.fixture
def settled(monkeypatch):
    """``settled()``: from now on files are old enough to be believed."""
    monkeypatch.setattr(cache_module, "SETTLED_SECONDS", 0.02)
    return lambda: time.sleep(0.1)


def refuse_to_hash(*arrays):
    raise AssertionError("hashed")


def test_what_has_been_verified_and_not_changed_is_not_hashed_again(cache, settled, monkeypatch):
    made = cached("set", SETTINGS, Producer())
    settled()
    cached("set", SETTINGS, refuse_to_hash)
    monkeypatch.setattr(cache_module.Decoded, "of", refuse_to_hash)
    again = cached("set", SETTINGS, refuse_to_hash)
    assert again.digest == made.digest
    np.testing.assert_array_equal(again.images, made.images)
    np.testing.assert_array_equal(again.labels, made.labels)


def test_a_file_that_was_written_just_now_is_not_believed(cache, monkeypatch):
    """It might be written to once more within a tick of the file system's clock."""
    for _ in range(2):
        cached("set", SETTINGS, Producer())
    monkeypatch.setattr(cache_module.Decoded, "of", refuse_to_hash)
    with pytest.raises(AssertionError, match="hashed"):
        cached("set", SETTINGS, Producer())


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "cache.json"])
def test_damage_that_keeps_size_and_time_is_noticed(cache, settled, caplog, file):
    produce = Producer()
    cached("set", SETTINGS, produce)
    settled()
    cached("set", SETTINGS, produce)
    (path,) = cache.glob(f"set-*/{file}")
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with caplog.at_level(logging.WARNING):
        again = cached("set", SETTINGS, produce)
    assert produce.calls == 2
    assert "damaged" in caplog.text
    np.testing.assert_array_equal(again.images, produce.images)


def test_a_cache_that_cannot_be_written_to_is_used(cache, settled, monkeypatch):
    cached("set", SETTINGS, Producer())
    settled()

    def refuse(path, text):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(cache_module, "write_text", refuse)
    assert len(cached("set", SETTINGS, refuse_to_hash).images) == 5


def entries(cache):
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_full_disk_says_so_and_leaves_nothing(cache, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"disk is full.*GANRUN_CACHE"):
            cached("set", SETTINGS, Producer())
    assert entries(cache) == []
    assert len(cached("set", SETTINGS, Producer()).images) == 5


def test_unusable_cache_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written.*GANRUN_CACHE"):
        cached("set", SETTINGS, Producer())


def test_interrupted_producer_leaves_nothing(cache):
    def produce():
        yield Producer().images, None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("set", SETTINGS, produce)
    assert entries(cache) == []


def test_leftovers_of_a_killed_process_go(cache):
    cached("set", SETTINGS, Producer())
    (entry,) = entries(cache)
    leftover = entry.with_name(f".{entry.name}.killed")
    entry.rename(leftover)
    cached("set", SETTINGS, Producer())
    assert entries(cache) == [entry]


PROCESS = """
import sys, time
import numpy as np
from ganrun.data.cache import cached
def produce():
    with open(sys.argv[1], "a") as file:
        file.write("made\\n")
    for value in range(4):
        time.sleep(0.2)
        yield np.full((2, 4, 4, 1), value, dtype=np.uint8), None
print(cached("set", {"source": "shared"}, produce).digest)
"""


def test_two_processes_at_once_decode_once(cache, tmp_path):
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "calls")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    digests = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(digests) == 1
    assert (tmp_path / "calls").read_text() == "made\n"
