"""Mode coverage on Stacked MNIST: a classifier reads the digit in every channel.

Metz et al., *Unrolled Generative Adversarial Networks*, ICLR 2017, arXiv 1611.02163, section 3.3.1, with the numbers of
Lin et al., *PacGAN: The power of two samples in generative adversarial networks*, NeurIPS 2018, section 4.2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.metrics.base import Metric, Samples, Unavailable
from ganrun.metrics.features.classifier import Classifier
from ganrun.metrics.modes import kl_from_uniform

CHUNK = 1000
"""Digits classified at once."""


class StackedModes(Metric):
    """Number of the 1,000 possible stacks that at least one sample shows. Real stacks reach 1,000 with 26,000 samples.

    Args:
        classifier: is trained on single digits, once.
    """

    requires = ("images", "labels")
    lower_is_better = False

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def evaluate(self, samples: Samples) -> float:
        return float(len(_stacks(samples, self.classifier).unique()))


class StackedKL(Metric):
    """``KL(h ‖ uniform)`` in nats, h being the shares of the 1,000 possible stacks among the samples.

    With m stacks in equal shares it is log(1000/m). n samples of the data have about 999/2n, not 0: 0.019 for 26,000.

    Args:
        classifier: is trained on single digits, once.
    """

    requires = ("images", "labels")
    lower_is_better = True

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def evaluate(self, samples: Samples) -> float:
        return kl_from_uniform(_stacks(samples, self.classifier), 1000)


def _stacks(samples: Samples, classifier: Classifier) -> Tensor:
    """The number ``[n]`` that the digits of every sample write, red first; computed once per evaluation."""
    singles = getattr(samples.dataset, "digits", None)
    if singles is None:
        raise Unavailable("the data set is not made of stacked digits")

    def read() -> Tensor:
        network = classifier.extractor(singles)
        channels = samples.generated.flatten(0, 1)[:, None]
        logits = [network(part).logits for part in channels.split(CHUNK)]
        digits = torch.cat([part.argmax(1) for part in logits if part is not None]).unflatten(0, (-1, 3))
        return digits @ torch.tensor([100, 10, 1])

    return samples.share("stacked digits", read)
