"""Recorded steps are the steps that would have been played, on a stand-in for CUDA graphs (see ``tape``)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partialmethod

import pytest
import torch
from tape import Tape, Tapes
from torch.utils._python_dispatch import _get_current_dispatch_mode
from toys import Duel, Pyramid, make_game, make_trainer, same

from ganrun.core.errors import RunError
from ganrun.core.schedules import linear
from ganrun.core.types import Moment
from ganrun.engine import capture
from ganrun.engine.settings import AverageSettings


class Told:
    """Helper that keeps what every step reports."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def begin(self, trainer):
        pass

    finish = begin

    def after_step(self, trainer):
        self.steps.append(trainer.stage.game.statistics.flush())


@pytest.fixture(autouse=True)
def without_norms(monkeypatch):
    """The gradients of biases before them are zero to rounding, and Adam makes whole steps of that."""
    monkeypatch.setattr(Duel, "__init__", partialmethod(Duel.__init__, norm=False))


@pytest.fixture
def tapes(monkeypatch):
    tapes = Tapes()
    monkeypatch.setattr(capture, "graphs_on", lambda device, wish: None if wish == "never" else tapes)
    return tapes


def train(kind=Duel, steps=10, wish="auto", helpers=(), checkpoint=None, **changes):
    """Final state, and what every step reported."""
    told = Told()
    trainer = make_trainer(steps, [told, *helpers], checkpoint, capture=wish, **changes)
    trainer.fit(make_game(kind))
    return trainer.state_dict(), told.steps


def assert_alike(one, other):
    """States and reports agree to rounding."""
    assert one[0]["position"] == other[0]["position"]
    torch.testing.assert_close(one[0]["game"], other[0]["game"], rtol=1e-4, atol=1e-4)
    for name, player in one[0]["players"].items():
        torch.testing.assert_close(player["average"], other[0]["players"][name]["average"], rtol=1e-4, atol=1e-4)
    assert len(one[1]) == len(other[1])
    for ours, theirs in zip(one[1], other[1], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", [Duel, Pyramid])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_recorded_steps_are_those_that_are_played(tapes, kind, accumulate):
    assert_alike(train(kind, accumulate=accumulate), train(kind, wish="never", accumulate=accumulate))
    stages = 3 if kind is Pyramid else 1
    assert len(tapes.tapes) == stages
    assert tapes.replays == stages * (10 - capture.WARM_UPS)


def test_learning_rates_and_averages_follow_their_schedules(tapes, monkeypatch):
    """Both change in every step here, and neither may stay what it was while the step was recorded."""
    changes = {"schedule": linear(0.0, 1.0, 0.0), "max_grad_norm": 0.5, "ema": AverageSettings(1e6, 0.3)}

    def trained(wish):
        told = Told()
        trainer = make_trainer(12, [told], capture=wish)
        for name, settings in trainer._player_settings.items():
            trainer._player_settings[name] = type(settings)(**(vars(settings) | changes))
        trainer.fit(make_game())
        assert trainer.players["generator"].learning_rate == pytest.approx(0.01 / 12)
        return trainer.state_dict(), told.steps

    assert_alike(trained("auto"), trained("never"))
    assert tapes.replays == 12 - capture.WARM_UPS


class Scheduled(Duel):
    """Adds a term with a falling weight, and another one in every third step."""

    def play(self, stream) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
        for move in super().play(stream):
            for player, terms in move.items():
                terms["falling"] = self.moment.value(linear(0.0, 1.0, 0.1)) * self.weights(player)
                if self.moment.decide(self.is_third):
                    terms["third"] = self.weights(player)
            yield move

    def weights(self, player):
        return sum(p.square().sum() for module in self.players()[player] for p in module.parameters())

    @staticmethod
    def is_third(moment: Moment) -> bool:
        return moment.step % 3 == 0


def test_every_course_of_a_step_is_recorded(tapes):
    recorded, played = train(Scheduled, 15), train(Scheduled, 15, wish="never")
    assert_alike(recorded, played)
    assert len(tapes.tapes) == 2
    assert tapes.replays == 15 - 2 * capture.WARM_UPS
    assert ["loss/generator/third" in step for step in recorded[1]] == [step % 3 == 0 for step in range(15)]


class Forked(Duel):
    """Takes a new course in every step."""

    def play(self, stream):
        self.moment.decide(lambda moment: moment.step)
        return super().play(stream)


def test_courses_that_never_come_back_are_not_kept_for_ever(tapes, monkeypatch):
    monkeypatch.setattr(capture, "MOST_COURSES", 3)
    trainer = make_trainer(10)
    trainer.fit(make_game(Forked))
    assert tapes.tapes == []
    assert len(trainer._recorder._courses) == 3


class ReadsBack(Duel):
    def play(self, stream):
        for move in super().play(stream):
            float(self.memory.sum())
            yield move


class OfUnknownSize(Duel):
    def play(self, stream):
        for move in super().play(stream):
            self.memory[self.memory > 0].sum()
            yield move


class FromTheHost(Duel):
    def play(self, stream):
        for move in super().play(stream):
            self.memory.add_(torch.tensor([1.0, 2.0]))
            yield move


class ReadsTheStep(Duel):
    def play(self, stream):
        self.memory.add_(0.1 * self.moment.step)
        return super().play(stream)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ReadsBack, "waits for a number from the device"),
        (OfUnknownSize, "a tensor whose size only the device knows"),
        (FromTheHost, "a tensor of numbers from the host"),
        (ReadsTheStep, "reads moment.step, where moment.decide or moment.value should be asked"),
    ],
)
def test_what_cannot_be_recorded_is_played_and_the_line_is_named(tapes, caplog, kind, reason):
    recorded = train(kind)
    assert tapes.tapes == []
    assert reason in caplog.text
    assert "test_capture.py:" in caplog.text
    assert caplog.text.count("not recorded") == 1
    assert_alike(recorded, train(kind, wish="never"))


def test_a_recording_that_fails_costs_nothing(tapes, caplog):
    class CannotBeRecorded(Duel):
        def play(self, stream):
            for number, move in enumerate(super().play(stream)):
                if number == 1 and isinstance(_get_current_dispatch_mode(), Tape):
                    sum(move["discriminator"].values()).backward()  # something has been left behind by then
                    raise RuntimeError("operation not permitted when stream is capturing\nand much more")
                yield move

    recorded = train(CannotBeRecorded)
    assert tapes.tapes == []
    assert "operation not permitted when stream is capturing" in caplog.text
    assert "and much more" not in caplog.text
    assert_alike(recorded, train(wish="never"))


def test_resume_from_and_with_recordings(tapes):
    whole = train(steps=14)[0]
    for before, after in (("auto", "auto"), ("never", "auto"), ("auto", "never")):
        state = train(steps=6, wish=before)[0]
        assert all(type(g["lr"]) is float for g in state["players"]["generator"]["optimizer"]["param_groups"])
        resumed = train(steps=14, wish=after, checkpoint=state)[0]
        torch.testing.assert_close(resumed["game"], whole["game"], rtol=1e-4, atol=1e-5)


class RollsBack:
    """Helper that returns to the state of step 5 at step 8."""

    def begin(self, trainer):
        self.state = None

    finish = begin

    def after_step(self, trainer):
        if trainer.step == 5:
            self.state = trainer.state_dict()
        if trainer.step == 8:
            trainer.roll_back(self.state)


def test_a_roll_back_replaces_the_optimizers_tensors_and_drops_recordings(tapes):
    assert_alike(train(steps=14, helpers=[RollsBack()]), train(steps=14, helpers=[RollsBack()], wish="never"))
    assert len(tapes.tapes) == 2


class Breaks(Duel):
    """A loss becomes NaN in the seventh step."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("clock", torch.zeros(()))

    def play(self, stream):
        self.clock += 1
        for move in super().play(stream):
            for terms in move.values():
                terms["broken"] = torch.where(self.clock < 7, 0.0, torch.nan) * self.head_weight()
            yield move

    def head_weight(self):
        return self.critic.head.weight.sum() + self.generator[2].weight.sum()


def test_the_step_of_a_broken_value_is_named(tapes):
    def first_broken(wish):
        trainer = make_trainer(12, capture=wish)
        trainer.fit(make_game(Breaks))
        with pytest.raises(RunError) as caught:
            trainer.game.statistics.flush()
        return str(caught.value)

    assert first_broken("auto") == first_broken("never")
    assert "at step 7" in first_broken("auto")
    assert tapes.replays > 0


def test_newest_samples_of_distributions_are_those_of_the_last_step(tapes):
    class Keeps(Duel):
        def play(self, stream):
            for move in super().play(stream):
                self.statistics.keep("distribution/memory", self.memory.clone())
                yield move

    trainer = make_trainer(8)
    trainer.fit(make_game(Keeps))
    assert torch.equal(trainer.game.statistics.newest["distribution/memory"], trainer.game.memory)


def test_steps_are_played_as_usual_on_a_cpu_and_where_one_asks_for_it():
    assert capture.graphs_on(torch.device("cpu"), "auto") is None
    assert capture.graphs_on(torch.device("cuda"), "never") is None
    assert make_trainer(1)._graphs is None


def test_without_recordings_the_learning_rate_is_a_number():
    trainer = make_trainer(2)
    trainer.fit(make_game())
    assert type(trainer.players["generator"].optimizer.param_groups[0]["lr"]) is float


def test_sampling_between_recorded_steps_leaves_them_alone(tapes):
    class Looks:
        def begin(self, trainer):
            pass

        finish = begin

        def after_step(self, trainer):
            with trainer.sampling("look"):
                trainer.game.sample(4)

    assert same(train(helpers=[Looks()])[0], train()[0])
