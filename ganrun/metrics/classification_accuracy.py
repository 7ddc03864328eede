"""Classification accuracy score (Ravuri and Vinyals, NeurIPS 2019)."""

from __future__ import annotations

import torch

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Unavailable
from ganrun.metrics.features.classifier import Classifier, labelled


class ClassificationAccuracy(Metric):
    """Accuracy on real images of a classifier that was trained on generated images and the labels they were made for.

    Paper: *Classification Accuracy Score for Conditional Generative Models*. Differs from the paper: a small network in
    place of ResNet-50. Low when the generator ignores its labels or lacks variety. A real training set of the same size
    sets the mark to reach.

    Args:
        classifier: network and training; ``images`` of it limits the generated ones.
        real: at most so many real images are classified.
    """

    requires = ("images", "labels")
    lower_is_better = False

    def __init__(self, classifier: Classifier, real: PositiveInt) -> None:
        self.classifier = classifier
        self.real = real

    def evaluate(self, samples: Samples) -> float:
        if samples.condition is None:
            raise Unavailable("the generator is not conditional")
        chosen = torch.randperm(len(samples.generated))[: self.classifier.images]
        network = self.classifier.network(samples.dataset.facts)
        kept = self.classifier.fit(network, samples.generated[chosen], samples.condition[chosen])
        network.load_state_dict(kept["weights"])
        return self.classifier.accuracy(network, *labelled(samples.dataset, self.real))
