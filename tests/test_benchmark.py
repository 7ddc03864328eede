"""The benchmark's loops train the same thing: one step of each leads to the same weights."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import benchmark
import benchmark_loops
import benchmark_peers
import benchmark_processes
import loops_to_time
from test_runs import SMALL

WORKLOADS = {
    "dcgan": SMALL["dcgan"],
    "infogan": SMALL["infogan"],
    "sngan": SMALL["sngan"],
    "wgan_gp": SMALL["wgan_gp_resnet"],
    "cyclegan": SMALL["cyclegan"],
}
RATE = 1e-3


@pytest.fixture
def prepared(monkeypatch):
    """``prepared(name)``: configuration, images and task of a small workload in float32; every batch is the same."""
    monkeypatch.setattr(benchmark_loops, "keep_memory", lambda: None)
    monkeypatch.setattr(benchmark_loops, "loaded", loaded_here)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, 0.5))  # of penalties
    # Adam would make whole steps of the rounding errors of gradients that are zero, as those of biases before norms.
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, *_, **__: torch.optim.SGD(parameters, RATE))
    monkeypatch.setattr(torch, "randperm", lambda count, **_: torch.arange(count))

    def prepare(name):
        overrides = [part for part in WORKLOADS[name] if not part.startswith("dataset")]
        fixed = ("trainer.batch_size=4", "trainer.precision=fp32", "trainer.device=cpu")
        config = benchmark.config_of(*benchmark.WORKLOADS[name].overrides, *overrides, *fixed)
        workload, size = benchmark.WORKLOADS[name], 32 if name == "cyclegan" else 8
        four = torch.randint(256, (4, size, size, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
        images = tuple(four.roll(domain, 1).repeat(8, 1, 1, 1) for domain in range(workload.domains))
        task = benchmark.task_of(workload, config, images)
        return config, images, replace(task, device=torch.device("cpu"), bf16=False)

    return prepare


def loaded_here(images, task):
    """Without processes that load."""
    while True:
        yield benchmark_loops.gathered(images, torch.arange(task.batch_size))


def game_of(config, images):
    torch.manual_seed(0)
    game = benchmark.make_game(config, benchmark.as_dataset(images).facts, None)
    if hasattr(game, "latent"):
        game.latent = Known(game.latent)
    return game


class Known:
    """Latents that are the same four whenever some are drawn, however many at once."""

    def __init__(self, latent):
        self.latent, self.four = latent, latent(4, torch.device("cpu"))

    def __call__(self, count, device):
        return self.four.repeat(-(-count // 4), 1)[:count]

    def __getattr__(self, name):
        return getattr(self.latent, name)


class Silent:
    """In place of a logbook."""

    def begin(self, trainer):
        pass

    after_step = begin


def weights_after(play, game, steps=1):
    play(steps)
    return {name: parameter.detach().clone() for name, parameter in game.named_parameters()}


def assert_alike(before, one, other):
    """Both made the same step, up to rounding."""
    for name, weights in before.items():
        step, expected = ((after[name] - weights) / RATE for after in (one, other))
        assert expected.abs().max() < 1e4
        torch.testing.assert_close(step, expected, atol=2e-3, rtol=2e-3, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", WORKLOADS)
def test_loops_by_hand_train_what_ganrun_trains(prepared, name, tmp_path, monkeypatch):
    config, images, task = prepared(name)
    found = {}
    for label, write in (("plain", benchmark.plain), ("fast", benchmark.fast)):
        game = game_of(config, images)
        before = weights_after(lambda steps: None, game)
        found[label] = weights_after(write(game, task), game)
    game = game_of(config, images)
    monkeypatch.setattr(benchmark, "make_game", lambda *_: game)
    monkeypatch.setattr(benchmark, "Logbook", lambda *_: Silent())
    found["ganrun"] = weights_after(benchmark.of_ganrun(config, benchmark.as_dataset(images), tmp_path), game)
    assert any(not torch.equal(before[key], found["fast"][key]) for key in before)
    assert_alike(before, found["fast"], found["plain"])
    assert_alike(before, found["fast"], found["ganrun"])


SCRIPT = """
import argparse
import sys
parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int)
parser.add_argument("--lr", type=float)
parser.add_argument("--b1", type=float)
parser.add_argument("--b2", type=float)
parser.add_argument("--img_size", type=int)
parser.add_argument("--channels", type=int)
parser.add_argument("--sample_interval", type=int)
parser.add_argument("--latent_dim", type=int, default=7)
opt = parser.parse_args()
class Generator:
    name = "theirs"
generator = Generator()
dataloader = open("no such file")
seen = []
for epoch in range(100):
    for i, (imgs, _) in enumerate(dataloader):
        seen.append((i, tuple(imgs.shape), len(dataloader)))
        print("progress")
        RESULT.append((generator, opt, seen))
"""


@pytest.mark.parametrize("same", [False, True])
def test_a_peers_script_is_played_step_by_step(prepared, tmp_path, monkeypatch, capsys, same):
    config, images, task = prepared("dcgan")
    monkeypatch.setattr(benchmark_peers, "loaded", loaded_here)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "implementations/dcgan").mkdir(parents=True)
    (tmp_path / "implementations/dcgan/dcgan.py").write_text(SCRIPT)
    result = []
    monkeypatch.setattr("builtins.RESULT", result, raising=False)
    game = game_of(config, images) if same else None
    if same:
        game.latent.size = 8
    play = benchmark_peers.pytorch_gan(tmp_path, "dcgan", task, game)
    play(2)
    play(1)
    generator, opt, seen = result[-1]
    assert [number for number, _, _ in seen] == [1, 2, 3]
    assert seen[0][1] == (4, 3, 8, 8)
    assert (opt.batch_size, opt.img_size, opt.latent_dim) == (4, 8, 8 if same else 7)
    assert getattr(generator, "name", "ours") == ("ours" if same else "theirs")
    assert capsys.readouterr().out == ""


def test_another_checkout_is_refused(prepared, tmp_path):
    _, _, task = prepared("dcgan")
    with pytest.raises(SystemExit, match="no checkout of PyTorch-GAN"):
        benchmark_peers.pytorch_gan(tmp_path, "dcgan", task)
    with pytest.raises(SystemExit, match="no checkout of mimicry"):
        benchmark_peers.mimicry(tmp_path, "sngan", task)


@pytest.mark.slow
def test_loops_take_turns_in_processes_of_their_own(capfd):
    makers = {name: getattr(loops_to_time, name) for name in ("sleeps", "fails", "sleeps_longer", "multiplies")}
    measured = benchmark_processes.in_turns(makers, seconds=0.1, repeats=3, limit=60)
    assert list(measured) == ["sleeps", "sleeps_longer", "multiplies"]
    assert [len(loop.rates) for loop in measured.values()] == [3, 3, 3]
    assert measured["sleeps"].ratio(measured["sleeps_longer"]) == pytest.approx(3, rel=0.3)
    assert measured["multiplies"].flops == 2 * 10**3
    assert measured["sleeps"].flops == 0
    assert 10**7 < measured["sleeps"].peak_bytes < 10**10
    told = capfd.readouterr().err
    assert "fails failed" in told
    assert "ValueError: on purpose" in told
