"""The classifier's loss of AC-GAN.

Odena, Olah & Shlens, *Conditional Image Synthesis with Auxiliary Classifier GANs*, ICML 2017, arXiv 1610.09585.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.tensors import exact
from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison, Term


class ClassPrediction(Term):
    """``weight · Σ CE(class logits, label)`` over reals, fakes or both (equation 3).

    As a term of the discriminator it trains the classifier; as one of the generator, on fakes, it makes them show the
    class that was asked for. The weights are independent: 1 and 1 in AC-GAN, 1 (reals only) and 0.1 in WGAN-GP's code.

    Args:
        weight: factor.
        samples: ``both``: the sum of the means over reals and fakes (the paper's discriminator); ``real``: only they
            are sure to show their class; ``fake``: for the generator.
    """

    requires = ("class_logits",)

    def __init__(self, weight: NonNegative, samples: Literal["both", "real", "fake"]) -> None:
        super().__init__()
        self.weight = weight
        self.samples = samples

    def forward(self, comparison: Comparison) -> Tensor:
        outputs = []
        if self.samples != "fake":
            outputs.append(comparison.real_output)
        if self.samples != "real":
            outputs.append(comparison.fake_output)
        return self.weight * torch.stack([surprise(output, comparison.condition) for output in outputs]).sum()


def surprise(output: DiscriminatorOutput, labels: Tensor | None) -> Tensor:
    """Mean cross entropy of the labels under the raw class logits.

    Raises:
        RunError: there are no class logits or no labels.
    """
    if output.class_logits is None or labels is None:
        raise RunError(
            "the class term needs a discriminator with a classifier and a game with labels. "
            "Use model.conditional=true model.discriminator.conditioning=classifier."
        )
    return cross_entropy(exact(output.class_logits), labels)
