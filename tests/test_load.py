"""``ganrun.load``: trained generators in Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_runs import SMALL, TRANSLATORS, game_overrides, play, two_domains  # noqa: F401  (fixtures)

import ganrun
from ganrun.core.errors import RunError

WITHOUT_LATENT = (*TRANSLATORS, "singan", "pix2pix", "gaugan", "gaugan_style", "stackgan")


LEARN = "optimizer.generator.lr=0.03"  # two steps shall change something
EXACT = "trainer.precision=fp32"  # as exported graphs compute
RUNS: dict[tuple[str, ...], Path] = {}


@pytest.fixture
def trained(tmp_path_factory, game_overrides):  # noqa: F811
    """``trained("cgan")``: the folder of a run of two steps, trained once; look only."""

    def train(*asked: str) -> Path:
        if asked not in RUNS:
            RUNS[asked] = tmp_path_factory.mktemp("trained") / "run"
            model, *overrides = asked
            play(RUNS[asked], *game_overrides(model), "trainer.steps=2", LEARN, EXACT, *overrides)
        return RUNS[asked]

    return train


def test_importing_ganrun_imports_no_torch():
    script = "import sys, ganrun; ganrun.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def needed_by(loaded) -> torch.Tensor | None:
    """Two conditions, if the game needs some."""
    if loaded.game.needs == "maps":
        return torch.randint(len(loaded.facts.palette), (2, *loaded.facts.condition_shape))
    return torch.rand(2, *(loaded.facts.condition_shape or loaded.facts.shape)) * 2 - 1 if loaded.game.needs else None


@pytest.mark.parametrize("model", sorted(SMALL))
def test_every_run_can_be_sampled_in_two_lines(trained, model):
    loaded = ganrun.load(trained(model))
    shape = loaded.facts.shape
    condition = ["a red circle", "a blue square"] if model == "stackgan" else needed_by(loaded)
    samples = loaded.sample(5, condition=condition, seed=1)
    assert samples.shape == (5, *shape) or model == "singan"  # whose pyramid may end below the picture's size
    assert samples.dtype == torch.float32
    assert not samples.requires_grad
    assert torch.equal(samples, loaded.sample(5, condition=condition, seed=1))
    if model not in WITHOUT_LATENT:
        assert not torch.equal(samples, loaded.sample(5, seed=2))
        assert torch.allclose(samples, loaded.at(loaded.latents(5, seed=1)), atol=1e-5)
    assert loaded.step >= 2
    assert loaded.config["model"]["_target_"].endswith(type(loaded.game).__name__)


def test_many_samples_are_made_in_parts_and_no_seed_goes_on(trained, monkeypatch):
    loaded = ganrun.load(trained("dcgan"))
    whole = loaded.sample(9, seed=0)
    monkeypatch.setattr("ganrun.config.trained.BATCH", 4)
    sizes = []
    decode = loaded.game.decode
    monkeypatch.setattr(loaded.game, "decode", lambda z, labels: sizes.append(len(z)) or decode(z, labels))
    assert torch.allclose(loaded.sample(9, seed=0), whole, atol=1e-5)
    assert sizes == [4, 4, 1]
    torch.manual_seed(0)
    first, second = loaded.sample(3), loaded.sample(3)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    loaded.sample(3, seed=5)
    assert torch.allclose(loaded.sample(3), first, atol=1e-5)  # a seed of one's own leaves torch's generators alone


def test_classes(trained):
    loaded = ganrun.load(trained("cgan"))
    in_turn = loaded.sample(12, seed=0)
    z = loaded.latents(12, seed=0)
    assert torch.allclose(in_turn, loaded.at(z, torch.arange(12) % 10), atol=1e-5)
    threes = loaded.sample(12, condition=3, seed=0)
    assert torch.allclose(threes, loaded.at(z, [3] * 12), atol=1e-5)
    assert torch.allclose(threes[3], in_turn[3], atol=1e-5)
    assert not torch.allclose(threes[4], in_turn[4], atol=1e-4)


def test_truncation_holds_for_one_call(trained):
    loaded = ganrun.load(trained("dcgan"))
    assert loaded.latents(100, truncation=0.3).abs().max() <= 0.3
    assert loaded.latents(100).abs().max() > 1
    z = loaded.latents(5, seed=1, truncation=0.3)
    assert torch.allclose(loaded.at(z), loaded.sample(5, seed=1, truncation=0.3), atol=1e-5)


def test_steps_and_weights(trained):
    run = trained("dcgan", "trainer.checkpoint_every_steps=1")
    last, first, raw = ganrun.load(run), ganrun.load(str(run), step=1), ganrun.load(run, weights="raw")
    assert (last.step, first.step, raw.step) == (2, 1, 2)
    assert (last.weights, raw.weights) == ("ema", "raw")
    pictures = [one.sample(2, seed=0) for one in (last, first, raw)]
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-3)
    assert not torch.equal(pictures[0], pictures[2])


def test_sizes_of_singan(trained):
    loaded = ganrun.load(trained("singan"))
    small = loaded.sample(1)
    assert loaded.sample(1, upscale=2.0).shape[2:] == (2 * small.shape[2], 2 * small.shape[3])
    assert loaded.sample(3, inject=-small, start_scale=1, seed=0).shape == (3, *small.shape[1:])
    assert loaded.game.animate(2, start_scale=0, pull=0.1, inertia=0.9).shape == (2, *small.shape[1:])
    assert loaded.sample(1, width=1.5).shape[2:] == (loaded.sample(1).shape[2], round(1.5 * loaded.sample(1).shape[3]))


@pytest.mark.parametrize(
    ("model", "mistake", "told"),
    [
        ("dcgan", lambda run: ganrun.load(run / "nowhere"), "nowhere holds no run"),
        ("dcgan", lambda run: ganrun.load(run / "checkpoints"), "is not empty and holds no run"),
        ("dcgan", lambda run: ganrun.load(run, step=7), "has no checkpoint of step 7; there are: 2"),
        ("dcgan", lambda run: ganrun.load(run, step="newest"), "step='newest': choose last, best or the number"),
        ("dcgan", lambda run: ganrun.load(run, weights="average"), "weights='average': choose ema, raw"),
        ("dcgan", lambda run: ganrun.load(run, device="gpu"), "device='gpu': choose auto, cpu, cuda"),
        ("dcgan", lambda run: ganrun.load(run).sample(0), "Ask for 1 or more"),
        ("dcgan", lambda run: ganrun.load(run).sample(2, condition=1), "not trained by class. Leave condition out"),
        ("dcgan", lambda run: ganrun.load(run).sample(2, width=2.0), "cannot be sampled with width"),
        (
            "dcgan",
            lambda run: ganrun.load(run).at(torch.zeros(3, 9)),
            r"\[3, 9\], and the generator takes \[count",
        ),
        ("cgan", lambda run: ganrun.load(run).sample(2, condition=10), "the classes are 0 to 9"),
        ("cgan", lambda run: ganrun.load(run).sample(2, condition=[1, 2, 3]), "as many as there are samples, 2"),
        ("cgan", lambda run: ganrun.load(run).sample(2, condition=[0.5, 1.0]), "a whole number"),
        ("infogan", lambda run: ganrun.load(run).sample(2, truncation=0.5), "of kind Coded"),
        ("singan", lambda run: ganrun.load(run).sample(2, truncation=0.5), "SinGAN has none"),
        ("singan", lambda run: ganrun.load(run).latents(2), "SinGAN has no latents to draw"),
        ("cyclegan", lambda run: ganrun.load(run).sample(2), r"\[count, 3, 32, 32\], as the condition"),
    ],
)
def test_mistakes_are_told(trained, model, mistake, told):
    run = trained(model)
    with pytest.raises(RunError, match=told):
        mistake(run)


def test_styles_are_truncated_for_one_call(trained):
    loaded = ganrun.load(trained("stylegan2"))
    whole, near = loaded.sample(20, seed=0), loaded.sample(20, seed=0, truncation=0.1)
    assert near.std(0).mean() < 0.5 * whole.std(0).mean()
    z = loaded.latents(20, seed=0)
    assert torch.allclose(loaded.at(z, truncation=0.1), near, atol=1e-5)
    assert torch.equal(loaded.sample(20, seed=0), whole)


def test_standing_statistics_hang_on_the_truncation_and_come_back(trained):
    loaded = ganrun.load(trained("biggan", "technique=[standing_statistics]", "trainer.standing_batches=2"))
    kept = {name: buffer.clone() for name, buffer in loaded.game.named_buffers()}
    whole = loaded.sample(5, seed=0)
    assert not torch.equal(loaded.sample(5, seed=0, truncation=0.5), whole)
    assert all(torch.equal(buffer, kept[name]) for name, buffer in loaded.game.named_buffers())
    assert torch.equal(loaded.sample(5, seed=0), whole)
