"""The watchdog: follows the curves of a run and calls the signatures of known failures by their names.

Every signature is a function of the last ticks; it answers with its evidence, or with nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ganrun.engine import distributed
from ganrun.engine.checkpoint import DamagedError, read_checkpoint, step_of
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook
from ganrun.engine.settings import WatchdogSettings
from ganrun.engine.trainer import Trainer

log = logging.getLogger(__name__)

TREND = 3
"""Trends are judged over this many times ``patience`` ticks."""

STRAIGHT = 0.9
"""Share of a curve's variance that a straight line explains, from which on the curve counts as a trend."""

FOLLOWED = ("score/", "adversarial/", "equilibrium/", "slope/", "saturation/", "diversity/")
"""Beginnings of the tags that signatures look at."""


class Curves:
    """The last ticks of a stage, seen for one discriminator.

    Args:
        ticks: means of every tick, oldest first.
        domain: ending of this discriminator's tags; empty where there is only one.
        highest_accuracy: of all ticks of the stage.
    """

    def __init__(self, ticks: list[dict[str, float]], domain: str, highest_accuracy: float) -> None:
        self.ticks = ticks
        self.domain = domain
        self.highest_accuracy = highest_accuracy

    def last(self, tag: str, count: int) -> np.ndarray:
        """Values of the last ``count`` ticks; none at all where there are fewer."""
        values = [tick[tag + self.domain] for tick in self.ticks[-count:] if tag + self.domain in tick]
        return np.array(values if len(values) == count else [])


def discriminator_won(curves: Curves, limits: WatchdogSettings) -> str:
    """It is nearly always right, and so nothing is left of its loss."""
    accuracy = curves.last("score/accuracy", limits.patience)
    loss = curves.last("adversarial/discriminator", limits.patience)
    at_equilibrium = curves.last("equilibrium/discriminator", limits.patience)
    if not (len(accuracy) and len(at_equilibrium) and at_equilibrium[-1] > 0):
        return ""
    share = loss / at_equilibrium
    if accuracy.min() < limits.accuracy or share.max() > limits.loss_share:
        return ""
    return f"accuracy {accuracy.mean():.3f}, its loss at {share.mean():.1%} of equilibrium"


def vanishing_gradient(curves: Curves, limits: WatchdogSettings) -> str:
    """The generator's loss is flat where the fakes' scores are."""
    strength = curves.last("saturation/generator_gradient", limits.patience)
    if not len(strength) or strength.max() > limits.gradient:
        return ""
    return f"strength {strength.mean():.4f}, where Wasserstein's loss has 1"


def mode_collapse(curves: Curves, limits: WatchdogSettings) -> str:
    """Fakes differ less from each other than reals do, by far."""
    diversity = curves.last("diversity/fake_to_real", limits.patience)
    if not len(diversity) or diversity.max() > limits.diversity:
        return ""
    return f"fakes are spread {diversity.mean():.3f} times as far as reals"


def oscillation(curves: Curves, limits: WatchdogSettings) -> str:
    """Reals and fakes have the higher scores by turns, each time clearly."""
    lead = _lead(curves, TREND * limits.patience)
    if not len(lead):
        return ""
    ahead, behind = np.mean(lead > limits.swing), np.mean(lead < -limits.swing)
    if min(ahead, behind) < 0.2:
        return ""
    return f"fakes led clearly in {behind:.0%} of the ticks, reals in {ahead:.0%}"


def divergence(curves: Curves, limits: WatchdogSettings) -> str:
    """The discriminator is steep and grows steeper, along a line or faster."""
    slope = curves.last("slope/mean", TREND * limits.patience)
    if not len(slope) or slope[-limits.patience :].min() < limits.slope:
        return ""
    first, last = np.median(slope[: limits.patience]), np.median(slope[-limits.patience :])
    if last < limits.growth * first or max(_straightness(slope), _straightness(np.log(slope + 1e-12))) < STRAIGHT:
        return ""
    return f"mean slope {first:.3g}, and {last:.3g} not long after"


def discriminator_idle(curves: Curves, limits: WatchdogSettings) -> str:
    """It has never been better than guessing."""
    accuracy = curves.last("score/accuracy", limits.patience)
    if not len(accuracy) or curves.highest_accuracy > 0.5 + limits.idle:
        return ""
    return f"accuracy {accuracy.mean():.3f}, at best {curves.highest_accuracy:.3f} since the beginning"


def _lead(curves: Curves, count: int) -> np.ndarray:
    """Mean score of reals minus that of fakes, in standard deviations."""
    real, fake = curves.last("score/real", count), curves.last("score/fake", count)
    spread = np.hypot(curves.last("score/std_real", count), curves.last("score/std_fake", count)) / 2**0.5
    return (real - fake) / (spread + 1e-12)


def _straightness(values: np.ndarray) -> float:
    """Squared correlation of a curve with time; 0 where it falls."""
    if values.std() == 0:
        return 0.0
    correlation = float(np.corrcoef(values, np.arange(len(values)))[0, 1])
    return max(correlation, 0.0) ** 2


class Signature(NamedTuple):
    """A failure that shows in the curves.

    Args:
        shows: curves, limits -> evidence, or nothing.
        cause: one sentence.
        remedy: one sentence.
        trend: whether it is judged over :data:`TREND` times ``patience`` ticks.
    """

    shows: Callable[[Curves, WatchdogSettings], str]
    cause: str
    remedy: str
    trend: bool = False


SIGNATURES = {
    "discriminator_won": Signature(
        discriminator_won,
        "The discriminator tells all fakes from reals, and its verdicts teach the generator little.",
        "Weaken it: technique=[r1] or another penalty, a lower optimizer.discriminator.lr, one critic step, or noise.",
    ),
    "vanishing_gradient": Signature(
        vanishing_gradient,
        "The generator's loss hardly depends on the fakes' scores any more.",
        "Take a loss that does not saturate there (loss=nonsaturating, hinge or wgan_gp), or slow down the winner.",
    ),
    "mode_collapse": Signature(
        mode_collapse,
        "The generator makes nearly the same sample again and again.",
        "Let the discriminator see batches (minibatch layers), penalise its slope (R1 and R2), or use pairs.",
    ),
    "oscillation": Signature(
        oscillation,
        "The players chase each other in circles instead of approaching an equilibrium.",
        "Damp it: a zero-centred gradient penalty, lower learning rates, or less momentum (betas).",
        trend=True,
    ),
    "divergence": Signature(
        divergence,
        "The discriminator's slope grows without bound.",
        "Bound it: weight of the gradient penalty, spectral normalisation, weight clipping, or no batch norm in it.",
        trend=True,
    ),
    "discriminator_idle": Signature(
        discriminator_idle,
        "The discriminator has learnt nothing since the beginning.",
        "Strengthen it: a higher optimizer.discriminator.lr, more capacity, more critic steps, a weaker penalty.",
    ),
}


class Watchdog:
    """Judges the curves whenever the logbook closes a tick; warns, stops the run, or takes it back to a checkpoint.

    All processes are told the same means, so they decide alike. What it remembers stands in the trainer's notes and
    travels with checkpoints. A tick that was closed early, for a checkpoint, is joined with its rest.

    Args:
        settings: what to do, and when to call a sign a sign.
        folder: where checkpoints lie.
        logbook: says how long a tick is, and writes down what was found.
    """

    def __init__(self, settings: WatchdogSettings, folder: RunFolder, logbook: Logbook) -> None:
        self.settings = settings
        self.folder = folder
        self.logbook = logbook

    def observe(self, trainer: Trainer, steps: int, means: dict[str, float]) -> dict[str, float]:
        """Take in a tick, and act on what shows.

        Args:
            trainer: at the end of the tick.
            steps: length of the tick.
            means: scalars of the tick.

        Returns:
            ``watchdog/<signature>`` -> 1 while it shows, 0 otherwise.
        """
        memory = self._memory(trainer)
        memory["parts"].append([steps, {tag: value for tag, value in means.items() if tag.startswith(FOLLOWED)}])
        if trainer.step % self.logbook.every_steps:
            return {}
        tick = joined(memory["parts"])
        memory["parts"] = []
        memory["seen"] += 1
        for tag in [tag for tag in tick if tag.startswith("score/accuracy")]:
            memory["highest"][tag] = max(tick[tag], memory["highest"].get(tag, 0.0))
        if memory["seen"] <= self.settings.warmup:
            return {}
        memory["ticks"] = [*memory["ticks"], tick][-TREND * self.settings.patience :]
        evidence = self._judge(memory)
        fresh = self._tell(trainer, memory, {name: words for name, words in evidence.items() if words})
        flags = {f"watchdog/{name}": float(name in memory["showing"]) for name in evidence}
        if fresh:
            self._act(trainer, *fresh)
        return flags

    def mend(self, trainer: Trainer, cause: str) -> bool:
        """Take the run back after a loss that was not finite; ``False`` where that is not wanted or not possible."""
        return self.settings.action == "rollback" and not self._roll_back(trainer, cause, trainer.step)

    def _memory(self, trainer: Trainer) -> dict[str, Any]:
        memory: dict[str, Any] = trainer.notes.setdefault("watchdog", {"stage": -1, "rollbacks": 0, "spoilt": []})
        if memory["stage"] != trainer.stage_index:
            memory |= {"stage": trainer.stage_index, "seen": 0, "ticks": [], "parts": [], "highest": {}, "showing": {}}
        return memory

    def _judge(self, memory: dict[str, Any]) -> dict[str, str]:
        """Signature, with the domain where there are several -> evidence."""
        evidence = {}
        for tag, highest in memory["highest"].items():
            domain = tag.removeprefix("score/accuracy")
            curves = Curves(memory["ticks"], domain, highest)
            for name, signature in SIGNATURES.items():
                evidence[name + domain] = signature.shows(curves, self.settings)
        return evidence

    def _tell(self, trainer: Trainer, memory: dict[str, Any], evidence: dict[str, str]) -> tuple[str, int] | None:
        """Say what shows for the first time, and what has gone.

        Returns:
            The first new signature and its description, with the step at which what it shows began; ``None``: nothing
            is new.
        """
        showing: dict[str, int] = memory["showing"]  # name -> ticks for which it was not seen
        for name in [name for name in showing if name not in evidence]:
            showing[name] += 1
            if showing[name] >= self.settings.patience:
                del showing[name]
                self._say(trainer, logging.INFO, f"{name} has gone")
        fresh = None
        for name, words in evidence.items():
            if name not in showing:
                signature = SIGNATURES[known(name)]
                text = f"{name}: {words}. {signature.cause}"
                self._say(trainer, logging.WARNING, f"{text} {signature.remedy}")
                window = self.settings.patience * (TREND if signature.trend else 1)
                fresh = fresh or (text, trainer.step - window * self.logbook.every_steps)
            showing[name] = 0
        return fresh

    def _say(self, trainer: Trainer, level: int, text: str) -> None:
        log.log(level, "step %d  watchdog: %s", trainer.step, text)
        self.logbook.add_text("watchdog", text, trainer.step)

    def _act(self, trainer: Trainer, cause: str, since: int) -> None:
        if self.settings.action == "rollback":
            if obstacle := self._roll_back(trainer, cause, since):
                trainer.stop(f"watchdog: {cause} {obstacle}")
        elif self.settings.action == "stop":
            trainer.stop(f"watchdog: {cause}")

    def _roll_back(self, trainer: Trainer, cause: str, since: int) -> str:
        """Restore a checkpoint from before the trouble; why not, if it cannot be.

        Args:
            trainer: goes on from its present step.
            cause: for the log.
            since: step at which the trouble began.
        """
        memory = self._memory(trainer)
        if memory["rollbacks"] >= self.settings.max_rollbacks:
            return f"The run was rolled back {memory['rollbacks']} times already (watchdog.max_rollbacks)."
        self.logbook.background.wait()  # a checkpoint may be in the writing
        state = distributed.local_work(lambda: self._sound_checkpoint(trainer, since))
        if state is None:
            return "There is no checkpoint from before the trouble to roll back to."
        trainer.roll_back(state)
        memory["rollbacks"] += 1
        memory["spoilt"].append([since, trainer.step])
        memory |= {"ticks": [], "parts": [], "showing": {}}
        self._say(trainer, logging.WARNING, f"rolled back to step {state['step']}, going on from here. {cause}")
        return ""

    def _sound_checkpoint(self, trainer: Trainer, since: int) -> dict[str, Any] | None:
        """The best checkpoint of this stage from before the trouble, else the newest; ``None``: there is none."""
        spoilt = self._memory(trainer)["spoilt"]
        paths = {
            step_of(path): path
            for path in reversed(self.folder.list_checkpoints())
            if trainer.stage_start < step_of(path) <= since
            and not any(begin < step_of(path) < end for begin, end in spoilt)
        }
        for step in sorted(paths, key=lambda step: step != trainer.best.get("step")):
            try:
                return read_checkpoint(paths[step])
            except DamagedError as error:
                log.warning("%s", error)
        return None


def known(name: str) -> str:
    """The signature in a name that may end in a domain."""
    return next(signature for signature in SIGNATURES if name.startswith(signature))


def joined(parts: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Means over several pieces of a tick, each given with its length."""
    if len(parts) == 1:
        return parts[0][1]
    total = sum(steps for steps, _ in parts)
    return {tag: sum(steps * means[tag] for steps, means in parts) / total for tag in parts[-1][1]}
