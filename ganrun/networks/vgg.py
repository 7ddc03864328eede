"""A perceptual distance (Johnson, Alahi, Fei-Fei, *Perceptual Losses for Real-Time Style Transfer ...*, ECCV 2016).

Its network, VGG-19 (Simonyan & Zisserman, ICLR 2015), is not trained here, and its weights do not come with ganrun.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv2d, l1_loss, max_pool2d

from ganrun.core.errors import RunError
from ganrun.core.tensors import exact

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
"""Channels and 3x3 convolutions between two poolings, up to relu5_1; ReLU after each."""

WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PerceptualDistance:
    """``∑_i w_i · mean |φ_i(y) - φ_i(x)|`` with the activations φ of a VGG-19, and w of Wang et al. (CVPR 2018).

    The network is no part of any checkpoint: the file is read when the distance is first asked for.

    Differs from the published code of GauGAN: images are normalised as those that the network was trained with.

    Args:
        path: state of VGG-19 as torchvision saves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kernels: list[tuple[Tensor, Tensor]] = []

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        """The distance of ``images`` ``[B, 3, H, W]`` in [-1, 1] from ``truth``, averaged over the batch.

        Raises:
            RunError: the file is not there or not VGG-19's, or images have other channels.
        """
        if not self._kernels:
            self._kernels = read_kernels(self.path, images.device)
        with torch.no_grad():
            targets = self._features(exact(truth))
        pairs = zip(WEIGHTS, self._features(exact(images)), targets, strict=True)
        return torch.stack([weight * l1_loss(made, true) for weight, made, true in pairs]).sum()

    def _features(self, images: Tensor) -> list[Tensor]:
        """relu1_1, relu2_1, ..."""
        mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        hidden = ((images + 1) / 2 - mean) / std
        kernels, features = iter(self._kernels), []
        for stage, (_, depth) in enumerate(STAGES):
            hidden = max_pool2d(hidden, 2) if stage else hidden
            for layer in range(depth):
                hidden = conv2d(hidden, *next(kernels), padding=1).relu()
                if layer == 0:
                    features.append(hidden)
        return features


def read_kernels(path: Path, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of the convolutions up to relu5_1.

    Raises:
        RunError: they are not there.
    """
    remedy = "Give model.perceptual the state of torchvision's vgg19 (vgg19-dcbb9e9d.pth), or null to do without."
    if not path.is_file():
        raise RunError(f"there is no file {path} with weights of VGG-19. {remedy}")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise RunError(f"{path} cannot be read as weights ({type(error).__name__}). {remedy}") from error
    kernels, index, before, empty = [], 0, 3, torch.zeros(())
    for channels, depth in STAGES:
        for _ in range(depth):
            names = [f"features.{index}.{part}" for part in ("weight", "bias")]
            found = [state.get(name, empty) if isinstance(state, dict) else empty for name in names]
            shapes = [tuple(tensor.shape) for tensor in found]
            if shapes != [(channels, before, 3, 3), (channels,)]:
                raise RunError(f"{path} is not VGG-19's: there is no {names[0]} of {channels}x{before}x3x3. {remedy}")
            weight, bias = (tensor.float() for tensor in found)
            kernels.append((weight, bias))
            index, before = index + 2, channels
        index += 1
    return kernels
