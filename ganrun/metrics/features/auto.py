"""The best feature extractor that this machine and this data set allow."""

from __future__ import annotations

from ganrun.core.types import Dataset
from ganrun.metrics.base import FeatureExtractor, Unavailable
from ganrun.metrics.features.classifier import Classifier
from ganrun.metrics.features.inception import Inception


class Auto:
    """Inception for colour images when its weights are at hand; else a classifier of the data set's labels.

    Grey images with labels (handwritten digits and the like) get the classifier, unless ``inception.weights`` is set:
    Inception was trained on colour photographs. Grey images without labels get Inception.

    Args:
        inception: used for colour images and for grey ones without labels.
        classifier: used where Inception is not.
    """

    def __init__(self, inception: Inception, classifier: Classifier) -> None:
        self.inception = inception
        self.classifier = classifier

    def extractor(self, dataset: Dataset) -> FeatureExtractor:
        """Load or train the extractor.

        Raises:
            DataError: the configured weights file is not there or not the published one.
            Unavailable: there are neither weights nor labels.
        """
        labelled = dataset.facts.classes >= 2
        if labelled and dataset.facts.channels == 1 and not self.inception.weights:
            return self.classifier.extractor(dataset)
        try:
            return self.inception.extractor(dataset)
        except Unavailable as reason:
            if labelled:
                return self.classifier.extractor(dataset)
            raise Unavailable(f"{reason}, and the data set has no labels to train a classifier on") from None
