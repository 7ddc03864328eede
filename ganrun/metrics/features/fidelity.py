"""Any feature extractor that torch-fidelity knows: DINOv2, CLIP, VGG-16 and those registered with it."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import Tensor

from ganrun.core.types import Dataset
from ganrun.metrics.base import Features, Unavailable


class Fidelity:
    """Features of one layer of a network that torch-fidelity loads from torch hub's cache, or fetches into it.

    Stein et al., *Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion
    models*, NeurIPS 2023, recommend DINOv2. There are no class logits, so there is no Inception Score.

    Args:
        network: torch-fidelity's name of the extractor, e.g. ``dinov2-vit-s-14``, ``clip-vit-b-32`` or ``vgg16``.
        layer: name of its features, e.g. ``dinov2``, ``clip`` or ``fc2_relu``.
    """

    def __init__(self, network: str, layer: str) -> None:
        self.network = network
        self.layer = layer

    def extractor(self, dataset: Dataset) -> FidelityExtractor:
        """Load the network.

        Raises:
            Unavailable: torch-fidelity is not installed, does not know the network or cannot get its weights.
        """
        try:
            from torch_fidelity.utils import create_feature_extractor

            network = create_feature_extractor(self.network, [self.layer], cuda=False, verbose=False)
        except Exception as error:  # torch-fidelity and torch hub raise many kinds
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise Unavailable(
                f"torch-fidelity cannot load {self.network} with features {self.layer} ({reason}); its weights belong "
                "into torch hub's cache. Without them use evaluation/features=classifier or random"
            ) from error
        return FidelityExtractor(network, self.network)


class FidelityExtractor:
    """The loaded network.

    Args:
        network: torch-fidelity's extractor of one layer.
        name: suffix of the tags.
    """

    def __init__(self, network: Any, name: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.name = name
        self.resize = f"as torch-fidelity does for {name}"
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        self.identity = f"{name}_{digest.hexdigest()}"

    def __call__(self, images: Tensor) -> Features:
        """Features of ``[N, 1 or 3, H, W]`` uint8 images."""
        (pooled,) = self.network.to(images.device)(images.expand(-1, 3, -1, -1))
        return Features(pooled.flatten(1).float(), None)
