"""A step computes the gradients that its moves want, and no others."""

from __future__ import annotations

import pytest
import torch
from test_runs import game_overrides, play, two_domains  # noqa: F401  (fixtures)
from torch.utils._python_dispatch import TorchDispatchMode

from ganrun.engine.trainer import Trainer
from ganrun.losses.objective import Objective

FURTHER = ("bigan_dcgan", "began", "lapgan", "singan", "nicegan", "gaugan_style", "stackgan")


class Onlooker(TorchDispatchMode):
    """Notes convolutions' weights whose gradient is computed though nobody asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: set[int] = set()
        self.known: dict[int, str] = {}
        self.computed: set[str] = set()
        self.wasted: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default and args[10][1]:
            name = self.known.get(args[2].data_ptr())
            if name is not None:  # a parameter itself, and not one that spectral normalisation has divided
                (self.computed if args[2].data_ptr() in self.wanted else self.wasted).add(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        *((model, []) for model in ("dcgan", "infogan", "vaegan", "cyclegan")),
        *(pytest.param(model, [], marks=pytest.mark.slow) for model in FURTHER),
        ("dcgan", ["loss=wgan_gp"]),
        ("dcgan", ["loss=gngan"]),
        ("dcgan", ["model._target_=ganrun.games.simultaneous.SimultaneousGame"]),
        ("pix2pix", ["loss.critic_steps=2"]),
        ("dcgan", ["technique=[feature_matching]"]),
    ],
)
def test_no_move_computes_gradients_that_nobody_wants(tmp_path, game_overrides, monkeypatch, model, changes):  # noqa: F811
    """Nor do penalties, whose gradients are those of samples; and discriminators' fakes carry no graph."""
    onlooker, compare = Onlooker(), []
    play_step, backward = Trainer.play_step, torch.Tensor.backward
    discriminator_terms = Objective.discriminator_terms

    def watched_step(self, game):
        onlooker.known = {parameter.data_ptr(): name for name, parameter in game.named_parameters()}
        with onlooker:
            play_step(self, game)

    def watched_backward(self, *args, inputs, **kwargs):
        onlooker.wanted = {parameter.data_ptr() for parameter in inputs}
        backward(self, *args, inputs=inputs, **kwargs)
        onlooker.wanted = set()

    def watched_terms(self, comparison):
        compare.append(comparison.fake.requires_grad)
        return discriminator_terms(self, comparison)

    monkeypatch.setattr(Trainer, "play_step", watched_step)
    monkeypatch.setattr(torch.Tensor, "backward", watched_backward)
    monkeypatch.setattr(Objective, "discriminator_terms", watched_terms)
    play(tmp_path, *game_overrides(model), *changes, "trainer.steps=1", "trainer.precision=fp32")
    assert onlooker.computed
    assert not onlooker.wasted
    assert compare
    assert model == "vaegan" or not any(compare)  # there all players move at once, on one pass
