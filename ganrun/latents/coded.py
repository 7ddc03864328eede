"""Latents with a part that a network must be able to read back (Chen et al., *InfoGAN*, NeurIPS 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganrun.core.tensors import one_hot


class Coded:
    """``z = (noise, one-hot categories, continuous codes)``.

    Categories are uniform; noise and continuous codes are U(-1, 1) in every coordinate. A prediction of the codes
    has the same layout without the noise: logits of every category, then means of the continuous codes.

    Args:
        size: dimensions of a latent; what the codes leave over is noise.
        categories: number of values of each categorical code.
        continuous: number of continuous codes.

    Raises:
        ValueError: there is no code, or the codes need more than ``size`` dimensions.
    """

    def __init__(self, size: int, categories: Sequence[int], continuous: int) -> None:
        self.size = size
        self.categories = list(categories)
        self.continuous = continuous
        code_size = sum(self.categories) + continuous
        if not 0 < code_size <= size:
            raise ValueError(
                f"the codes need {code_size} of {size} latent dimensions; between 1 and {size} are possible"
            )
        self.noise = size - code_size

    def __call__(self, count: int, device: torch.device) -> Tensor:
        """Draw ``[count, size]``."""
        uniform = torch.rand(count, self.noise + self.continuous, device=device) * 2 - 1
        noise, continuous = uniform.split([self.noise, self.continuous], dim=1)
        one_hots = [one_hot(torch.randint(k, (count,), device=device), k) for k in self.categories]
        return torch.cat([noise, *one_hots, continuous], dim=1)

    @property
    def entropy(self) -> float:
        """H of all categorical codes together, in nats."""
        return sum(math.log(k) for k in self.categories)

    def codes(self, z: Tensor) -> Tensor:
        """The value of every categorical code, ``[N, categorical codes]``."""
        return torch.stack([one_hots.argmax(1) for one_hots in self._split(z)[:-1]], dim=1)

    def cross_entropy(self, z: Tensor, prediction: Tensor) -> Tensor:
        """-E log Q(c|x) of the categorical codes of ``z``, summed over codes, in nats."""
        pairs = zip(self._split(z)[:-1], self._split(prediction)[:-1], strict=True)
        return torch.stack([cross_entropy(logits.float(), code.argmax(1)) for code, logits in pairs]).sum()

    def squared_error(self, z: Tensor, prediction: Tensor) -> Tensor:
        """E (c - μ)² of the continuous codes of ``z``, averaged over codes; 1/3 for μ = 0."""
        return (self._split(z)[-1] - self._split(prediction)[-1].float()).square().mean()

    def negative_log_likelihood(self, z: Tensor, prediction: Tensor) -> Tensor:
        """-E log N(c; μ, 1) of the continuous codes of ``z``, summed over codes, in nats."""
        return self.continuous * 0.5 * (self.squared_error(z, prediction) + math.log(2 * math.pi))

    def traversals(self, rows: int, columns: int, extent: float, device: torch.device) -> dict[str, Tensor]:
        """Latents in which one code is swept while a row shares everything else; the rows are the same for all codes.

        Args:
            rows: latents that are drawn.
            columns: values of a continuous code, equally spaced; a categorical code takes all its values.
            extent: a continuous code goes from ``-extent`` to ``extent``.
            device: where to draw.

        Returns:
            ``categorical_<i>`` and ``continuous_<i>`` (from 1) -> latents, row by row.
        """
        z = self(rows, device)
        swept, start = {}, self.noise
        for index, k in enumerate(self.categories, start=1):
            swept[f"categorical_{index}"] = _sweep(z, start, torch.eye(k, device=device))
            start += k
        values = torch.linspace(-extent, extent, columns, device=device)[:, None]
        for index in range(self.continuous):
            swept[f"continuous_{index + 1}"] = _sweep(z, start + index, values)
        return swept

    def _split(self, codes: Tensor) -> tuple[Tensor, ...]:
        """One tensor per categorical code, and one of all continuous codes; noise in front is dropped."""
        return codes[:, len(codes[0]) - self.size + self.noise :].split([*self.categories, self.continuous], dim=1)


def _sweep(z: Tensor, start: int, values: Tensor) -> Tensor:
    """Every latent once with every row of ``values`` written at ``start``."""
    swept = z.repeat_interleave(len(values), dim=0)
    swept[:, start : start + values.shape[1]] = values.repeat(len(z), 1)
    return swept
