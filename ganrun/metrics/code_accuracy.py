"""Whether a code that nobody named became the class (Chen et al., *InfoGAN*, NeurIPS 2016, section 7.2)."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Unavailable, quantise
from ganrun.metrics.features.classifier import Classifier

CHUNK = 500
"""Samples made and classified at once."""


class CodeAccuracy(Metric):
    """Share of samples whose class, told by a classifier of the data, is the one that their code stands for.

    Which code stands for which class is chosen by the best one-to-one assignment, so a code that knows nothing of the
    classes still has about 1/classes. Of several categorical codes the one that fits best counts. The classifier's own
    errors are part of the score. The metric draws samples of its own.

    Differs from the paper: there the code is read off real images, with 5 % error on MNIST.

    Args:
        classifier: is trained on the labelled data, once.
        samples: how many are classified.
    """

    requires = ("images", "labels")
    lower_is_better = False

    def __init__(self, classifier: Classifier, samples: PositiveInt) -> None:
        self.classifier = classifier
        self.samples = samples

    def evaluate(self, samples: Samples) -> float:
        space = samples.space
        if space is None or space.codes is None:
            raise Unavailable("the latents have no categorical code, as those of InfoGAN have")
        network = self.classifier.extractor(samples.dataset)
        codes, classes = [], []
        for begin in range(0, self.samples, CHUNK):
            z = space.draw(min(CHUNK, self.samples - begin))
            logits = network(quantise(space.decode(z))).logits
            assert logits is not None
            codes.append(space.codes(z).cpu())
            classes.append(logits.argmax(1).cpu())
        told = torch.cat(classes)
        return max(assigned_share(code, told) for code in torch.cat(codes).unbind(1))


def assigned_share(codes: Tensor, classes: Tensor) -> float:
    """Share of samples on the best one-to-one assignment of codes ``[N]`` to classes ``[N]``."""
    counts = torch.zeros(int(codes.max()) + 1, int(classes.max()) + 1, dtype=torch.int64)
    counts.index_put_((codes, classes), torch.ones_like(codes), accumulate=True)
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    return float(counts[rows, columns].sum()) / len(codes)
