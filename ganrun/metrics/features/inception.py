"""The Inception network of 2015-12-05, which published FIDs and Inception Scores are computed with."""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from ganrun.core.errors import DataError
from ganrun.core.types import Dataset
from ganrun.metrics.base import Features, Unavailable

log = logging.getLogger(__name__)

FILE = "weights-inception-2015-12-05-6726825d.pth"
HASH = "6726825d"  # the first digits of the file's SHA-256
ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"


class Inception:
    """2048 pooled features and 1008 logits (without bias), by torch-fidelity's port of the TensorFlow network.

    Images are resized to 299 pixels inside the network, bilinearly and without antialiasing, as in the original.
    Grey images are repeated to three channels. Costs about 100 ms per image on one CPU core.

    Args:
        weights: path of the weights file; ``None``: torch hub's checkpoint folder, where torchmetrics and
            torch-fidelity keep it too.
        download: whether to fetch the weights (95 MB) into that folder when they are not there.
    """

    def __init__(self, weights: str | None, download: bool) -> None:
        self.weights = weights
        self.download = download

    @property
    def path(self) -> Path:
        """Where the weights are looked for."""
        return Path(self.weights).expanduser() if self.weights else Path(torch.hub.get_dir()) / "checkpoints" / FILE

    def extractor(self, dataset: Dataset) -> InceptionExtractor:
        """Load the network.

        Raises:
            DataError: ``weights`` names a file that is not there, or the file is not the published one.
            Unavailable: the weights are not in torch hub's folder and could not be fetched.
        """
        path = self.path
        if not path.is_file():
            self._obtain(path)
        digest = _sha256(path)
        if not digest.startswith(HASH):
            raise DataError(
                f"{path} does not hold the Inception weights of 2015-12-05: its SHA-256 begins with {digest[:8]}, "
                f"not {HASH}. Replace it by {ADDRESS}, or remove it."
            )
        return InceptionExtractor(path, digest)

    def _obtain(self, path: Path) -> None:
        if self.weights:
            raise DataError(f"There are no Inception weights at {path}. Correct the path, or put {FILE} there.")
        if not self.download:
            raise Unavailable(
                f"no Inception weights at {path} (to be had from {ADDRESS}; "
                "evaluation/features=classifier or random do without)"
            )
        log.info("fetching the Inception weights from %s", ADDRESS)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(ADDRESS, str(path), hash_prefix=HASH, progress=False)
        except (OSError, RuntimeError) as error:
            raise Unavailable(f"the Inception weights could not be fetched from {ADDRESS}: {error}") from error


class InceptionExtractor:
    """The loaded network.

    Args:
        path: verified weights file.
        digest: its SHA-256.
    """

    name = ""
    resize = "bilinear without antialiasing to 299 pixels"

    def __init__(self, path: Path, digest: str) -> None:
        self.identity = f"inception_{digest}"
        self.network = _network(path).to(memory_format=torch.channels_last)  # half as fast again on a CPU

    def __call__(self, images: Tensor) -> Features:
        """Features of ``[N, 1 or 3, H, W]`` uint8 images."""
        self.network.to(images.device)
        with torch.no_grad():
            pooled, logits = self.network(images.expand(-1, 3, -1, -1))
        return Features(pooled, logits)

    def local(self, images: Tensor) -> Tensor:
        """The 64 features after the first pooling layer, of ``[N, 1 or 3, H, W]`` uint8 images that are not resized."""
        network = self.network.to(images.device)
        hidden = (images.expand(-1, 3, -1, -1).float() - 128) / 128
        with torch.no_grad():
            for layer in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"):
                hidden = network.get_submodule(layer)(hidden)
        return hidden


def _network(path: Path) -> nn.Module:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as error:
        raise Unavailable("torch-fidelity is not installed (pip install torch-fidelity)") from error
    try:
        torch.load(path, map_location="cpu", weights_only=True)  # torch-fidelity itself would run code in the file
    except pickle.UnpicklingError as error:
        raise DataError(f"{path} cannot be read as weights. Replace it by {ADDRESS}, or remove it.") from error
    return FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
