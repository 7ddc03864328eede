"""Fixtures shared by all tests."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from ganrun import cli

torch.set_num_threads(1)

VGG_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images beside the checkout; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the folder of real images, shared/data, beside the checkout")
    return folder


@pytest.fixture(scope="session")
def vgg_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision saves VGG-19, with random weights up to relu5_1."""
    state, before = {}, 3
    generator = torch.Generator().manual_seed(0)
    for index, channels in zip((0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28), VGG_CHANNELS, strict=True):
        kernels = torch.randn(channels, before, 3, 3, generator=generator)
        state[f"features.{index}.weight"] = kernels / (3 * before**0.5)
        state[f"features.{index}.bias"] = torch.randn(channels, generator=generator) / 10
        before = channels
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, path)
    return path


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests' decoded data and classifiers out of the user's cache; shared within one test run."""
    cache = tmp_path_factory.getbasetemp() / "ganrun-cache"
    monkeypatch.setenv("GANRUN_CACHE", str(cache))
    return cache


@pytest.fixture
def ganrun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """``ganrun("evaluate", "run=x")`` in this process and an empty folder: exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # put back after the test, for the command sets it
    handlers, level = logging.root.handlers[:], logging.root.level

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ganrun"])
        try:
            code = cli.run(list(arguments))
        except SystemExit as leaving:
            code = leaving.code or 0
        return code, *capsys.readouterr()

    yield command
    for handler in set(logging.root.handlers) - set(handlers):
        handler.close()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
