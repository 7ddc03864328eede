"""FID within classes (Benny et al., *Evaluation Metrics for Conditional Image Generation*, IJCV 2021)."""

from __future__ import annotations

import torch

from ganrun.metrics.base import Metric, Samples, Unavailable, moments
from ganrun.metrics.fid import fid


class ClassFID(Metric):
    """Mean over classes of the FID between images generated for a class and real ones of it (their WCFID).

    FID sees neither swapped labels nor collapse within a class as well as this does. Every class needs more images,
    generated and real, than there are features.
    """

    requires = ("images",)
    lower_is_better = True
    on_features = True
    real_features = None

    def evaluate(self, samples: Samples) -> float:
        reference = samples.reference()
        if samples.condition is None or reference.condition is None:
            raise Unavailable("it needs a conditional generator and labels")
        assert samples.features is not None
        distances = []
        for label in reference.condition.unique():
            generated = moments([samples.features.pooled[samples.condition == label]])
            real = moments([reference.pooled[reference.condition == label]])
            try:
                distances.append(fid(generated, real))
            except Unavailable as reason:
                raise Unavailable(f"of class {int(label)}, {reason}") from None
        return float(torch.tensor(distances, dtype=torch.float64).mean())
