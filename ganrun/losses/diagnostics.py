"""What a move tells beside its loss: scores, certified bounds, slopes, saturation, diversity.

Everything is read off outputs that the move has computed anyway, stays on the device, and takes no pass through a
network. Scores of several scales, or of patches, count one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.tensors import exact
from ganrun.core.types import DiscriminatorOutput, Terms
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective

TINY = 1e-12


def of_discriminator(objective: Objective, comparison: Comparison, terms: Terms) -> dict[str, Tensor]:
    """Tag -> scalar, after a discriminator's move.

    Args:
        objective: what it minimises.
        comparison: what it was shown.
        terms: of ``objective.discriminator_terms(comparison)``.
    """
    with torch.no_grad():
        loss = adversarial_part(objective, terms)
        real, fake = judgement(comparison.real_output), judgement(comparison.fake_output)
        values = {
            "score/real": real.mean(),
            "score/fake": fake.mean(),
            "score/std_real": real.std(correction=0),
            "score/std_fake": fake.std(correction=0),
            "score/accuracy": accuracy(real, fake, objective.adversarial.threshold),
        }
        values |= {f"bound/{name}": bound for name, bound in objective.adversarial.certificate(loss).items()}
        values |= against_equilibrium(objective, "discriminator", loss)
        slopes = secants(comparison)
        values |= {"slope/mean": slopes.mean(), "slope/max": slopes.max()}
        if len(comparison.real) > 1:
            values["diversity/fake_to_real"] = diversity(comparison.fake, comparison.real)
        for source in (objective.adversarial, *objective.augment.values()):
            statistics = source.statistics()  # type: ignore[operator]
            values |= {tag: value.clone() for tag, value in statistics.items()}  # buffers that move on
        return values


def of_generator(objective: Objective, comparison: Comparison, terms: Terms) -> dict[str, Tensor]:
    """Tag -> scalar, after a generator's move and before it is differentiated.

    Args:
        objective: what it minimises.
        comparison: what the discriminator was shown.
        terms: of ``objective.generator_terms(comparison)``.
    """
    loss = adversarial_part(objective, terms)
    values = against_equilibrium(objective, "generator", loss)
    if comparison.fakes_judged and (strength := gradient_strength(loss, comparison.fake_output)) is not None:
        values["saturation/generator_gradient"] = strength
    return values


def judgement(output: DiscriminatorOutput) -> Tensor:
    """All scores of a batch, one after the other."""
    return torch.cat([exact(score.detach()).flatten() for score in output.scores])


def adversarial_part(objective: Objective, terms: Terms) -> Tensor:
    """The adversarial loss alone: the sum of ``terms`` without penalties and auxiliary losses."""
    further = {*objective.discriminator_extra.keys(), *objective.generator_extra.keys()}
    return torch.stack([term for name, term in terms.items() if name not in further]).sum()


def against_equilibrium(objective: Objective, player: str, loss: Tensor) -> dict[str, Tensor]:
    """The adversarial loss of a player, and what it would be where the generator has learnt the data."""
    values = {f"adversarial/{player}": loss}
    if (known := objective.adversarial.equilibrium().get(player)) is not None:
        values[f"equilibrium/{player}"] = torch.full_like(loss, known)
    return values


def accuracy(real: Tensor, fake: Tensor, threshold: float | None) -> Tensor:
    """Share of correct verdicts: reals above and fakes below ``threshold``; without one, pairs in the right order.

    What lies on the threshold counts half, so that a constant discriminator is right half of the time.
    """
    if threshold is None:
        return (1 + (real - fake).sign().mean()) / 2
    return (2 + (real - threshold).sign().mean() + (threshold - fake).sign().mean()) / 4


def secants(comparison: Comparison) -> Tensor:
    """``|D(x_i) - D(y_i)| / ‖x_i - y_i‖`` of the pairs of a comparison, ``[B]``; 0 where both samples are equal.

    Where the discriminator maps samples one by one and nothing is augmented, the largest is a lower bound of its
    Lipschitz constant. Batch norm makes a function of every pass; then it is a difference quotient and no more.
    """
    real, fake = (_mean_score(output) for output in (comparison.real_output, comparison.fake_output))
    distance = (exact(comparison.real) - exact(comparison.fake)).flatten(1).norm(dim=1)
    return torch.where(distance > 0, (real - fake).abs() / distance.clamp_min(TINY), 0.0)


def _mean_score(output: DiscriminatorOutput) -> Tensor:
    """One number per sample, ``[B]``."""
    return torch.stack([exact(score).reshape(len(score), -1).mean(1) for score in output.scores]).mean(0)


def gradient_strength(loss: Tensor, output: DiscriminatorOutput) -> Tensor | None:
    """``∑ |∂ loss / ∂ f|`` over the fakes' scores: 1 for Wasserstein's loss, 0 where the loss is flat.

    ``None``: the loss does not look at the scores.
    """
    gradients = torch.autograd.grad(loss, output.scores, retain_graph=True, allow_unused=True)
    strengths = [exact(gradient).abs().sum() for gradient in gradients if gradient is not None]
    return torch.stack(strengths).sum() if strengths else None


def diversity(fake: Tensor, real: Tensor) -> Tensor:
    """Standard deviation over the batch, averaged over dimensions: of ``fake`` relative to ``real``."""
    return _spread(fake) / _spread(real).clamp_min(TINY)


def _spread(samples: Tensor) -> Tensor:
    flat = exact(samples).flatten(1)
    variance = (flat - flat.mean(0)).square_().mean(0)  # many times faster than Tensor.std along dimension 0
    return variance.sqrt().mean()
