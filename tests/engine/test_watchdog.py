"""The watchdog: every signature on synthetic curves, warnings told once, stops, rollbacks, exact resume."""

from __future__ import annotations

import json
import logging
import math
import random
import time
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from toys import Duel, make_game, make_trainer, same

from ganrun.core.errors import RunError
from ganrun.engine.checkpoint import Checkpoints, read_checkpoint
from ganrun.engine.folder import RunFolder
from ganrun.engine.logbook import Logbook, charts
from ganrun.engine.settings import WatchdogSettings
from ganrun.engine.trainer import Stopped
from ganrun.engine.watchdog import SIGNATURES, Curves, Watchdog, joined

LIMITS = WatchdogSettings(
    action="warn",
    patience=4,
    warmup=0,
    max_rollbacks=2,
    accuracy=0.98,
    loss_share=0.01,
    gradient=0.02,
    diversity=0.1,
    swing=0.5,
    slope=10.0,
    growth=2.0,
    idle=0.05,
)
HEALTHY = {
    "score/accuracy": 0.8,
    "score/real": 1.0,
    "score/fake": -1.0,
    "score/std_real": 1.0,
    "score/std_fake": 1.0,
    "adversarial/discriminator": 0.9,
    "equilibrium/discriminator": 1.386,
    "slope/mean": 0.5,
    "saturation/generator_gradient": 0.7,
    "diversity/fake_to_real": 0.9,
}


def showing(ticks, limits=LIMITS, highest=0.8, domain=""):
    curves = Curves([HEALTHY | tick for tick in ticks], domain, highest)
    return {name for name, signature in SIGNATURES.items() if signature.shows(curves, limits)}


def ticks_of(count=12, **functions):
    """``count`` ticks in which tags (``__`` for ``/``) follow functions of the tick's number."""
    return [{tag.replace("__", "/"): function(i) for tag, function in functions.items()} for i in range(count)]


def lead(function, count=12, spread=1.0):
    return ticks_of(
        count,
        score__real=lambda i: function(i) / 2,
        score__fake=lambda i: -function(i) / 2,
        score__std_real=lambda i: spread,
        score__std_fake=lambda i: spread,
    )


def test_healthy_curves_say_nothing():
    generator = random.Random(0)
    noisy = [{tag: value * generator.uniform(0.7, 1.2) for tag, value in HEALTHY.items()} for _ in range(12)]
    assert showing(noisy) == showing(ticks_of(12)) == set()


def test_discriminator_won():
    won = {"score__accuracy": lambda i: 1.0, "adversarial__discriminator": lambda i: 0.001}
    assert showing(ticks_of(**won)) == {"discriminator_won"}
    assert showing(ticks_of(3, **won)) == set()  # not for long enough
    assert showing(ticks_of(**won | {"score__accuracy": lambda i: 0.9 if i == 10 else 1.0})) == set()
    assert showing(ticks_of(**won | {"adversarial__discriminator": lambda i: 0.05})) == set()
    assert showing(ticks_of(**won | {"equilibrium__discriminator": lambda i: 0.0})) == set()  # Wasserstein has no end


def test_vanishing_gradient():
    assert showing(ticks_of(saturation__generator_gradient=lambda i: 0.01)) == {"vanishing_gradient"}
    assert showing(ticks_of(saturation__generator_gradient=lambda i: 0.01 if i != 9 else 0.03)) == set()


def test_mode_collapse_reports_the_number():
    collapsed = [HEALTHY | tick for tick in ticks_of(diversity__fake_to_real=lambda i: 0.03)]
    assert "0.030" in SIGNATURES["mode_collapse"].shows(Curves(collapsed, "", 0.8), LIMITS)
    assert showing(collapsed) == {"mode_collapse"}
    assert showing(ticks_of(diversity__fake_to_real=lambda i: 2 / (i + 1))) == set()


def test_oscillation():
    assert showing(lead(lambda i: 2 * math.sin(i))) == {"oscillation"}
    assert showing(lead(lambda i: 0.2 * 1.4**i * math.sin(i))) == {"oscillation"}  # growing
    assert showing(lead(lambda i: 2 * math.sin(i), spread=10.0)) == set()  # within the noise
    assert showing(lead(lambda i: 2 + 2 * math.sin(i))) == set()  # reals lead always
    generator = random.Random(0)
    assert showing(lead(lambda i: generator.gauss(0, 0.3))) == set()


@pytest.mark.parametrize("curve", [lambda i: 10.0 + 5 * i, lambda i: 2.0 * 1.5**i], ids=["linear", "exponential"])
def test_divergence(curve):
    assert showing(ticks_of(slope__mean=curve)) == {"divergence"}
    assert showing(ticks_of(slope__mean=lambda i: curve(i) / 100)) == set()  # growing, but not steep
    assert showing(ticks_of(slope__mean=lambda i: curve(11 - i))) == set()


def test_steep_but_steady_is_no_divergence():
    assert showing(ticks_of(slope__mean=lambda i: 50.0 + (i % 3))) == set()
    jumps = [12.0, 80.0, 15.0, 60.0, 11.0, 90.0, 40.0, 13.0, 70.0, 20.0, 95.0, 90.0]
    assert showing(ticks_of(slope__mean=lambda i: jumps[i])) == set()


def test_discriminator_idle():
    idle = ticks_of(score__accuracy=lambda i: 0.5)
    assert showing(idle, highest=0.53) == {"discriminator_idle"}
    assert showing(idle, highest=0.7) == set()  # it was better once: an equilibrium


def test_missing_curves_are_no_signs():
    for name, signature in SIGNATURES.items():
        assert signature.shows(Curves([], "", 0.8), LIMITS) == ""
        assert signature.shows(Curves([{"loss": 1.0}] * 12, "", 0.8), LIMITS) == "", name


def test_domains_are_judged_apart():
    ticks = [{f"{tag}{domain}": value for tag, value in HEALTHY.items() for domain in ("_a", "_b")} for _ in range(12)]
    for tick in ticks:
        tick["diversity/fake_to_real_b"] = 0.0
    assert not SIGNATURES["mode_collapse"].shows(Curves(ticks, "_a", 0.8), LIMITS)
    assert SIGNATURES["mode_collapse"].shows(Curves(ticks, "_b", 0.8), LIMITS)


def test_pieces_of_a_tick_are_joined():
    assert joined([[3, {"a": 1.0}], [1, {"a": 5.0}]]) == {"a": 2.0}


def test_charts_leave_out_what_would_be_empty():
    assert list(charts(["score/real", "score/std_real", "gradient_norm/generator", "loss/x"])) == [
        "mean scores",
        "gradient norms",
    ]


class Watched(Duel):
    """The toy game, reporting curves that its ``script`` gives as a function of the step."""

    def __init__(self, script) -> None:
        super().__init__(1)
        self.script = script

    def play(self, stream):
        for tag, value in (HEALTHY | self.script(self.moment.step + 1)).items():
            self.statistics.report(tag, torch.tensor(value))
        yield from super().play(stream)


def run(folder, script, steps=60, every=10, limits=LIMITS, state=None, stop_at=None, tick=2):
    """Train under the watchdog; the trainer, and whether it was stopped."""
    folder = RunFolder(folder)
    logbook = Logbook(folder, tick, {"seed": 0}, {})
    logbook.watchdog = Watchdog(limits, folder, logbook)
    checkpoints = Checkpoints(folder, every, 99, {"seed": 0}, logbook)

    class Stopper:
        def begin(self, trainer):
            pass

        finish = begin

        def after_step(self, trainer):
            if trainer.step == stop_at:
                trainer.stop("")

    trainer = make_trainer(steps, helpers=[logbook, Stopper(), checkpoints], checkpoint=state)
    torch.manual_seed(0)
    stopped = False
    try:
        trainer.fit(Watched(script))
    except Stopped:
        stopped = True
        checkpoints.save(trainer)
    finally:
        logbook.close(True)
    return trainer, stopped


def collapse(begin, end):
    return lambda step: {"diversity/fake_to_real": 0.0} if begin < step <= end else {}


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_warns_once_until_it_has_recovered(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    script = collapse(10, 30)
    run(tmp_path, lambda step: script(step) | collapse(44, 60)(step))
    told = [record.getMessage() for record in caplog.records if "watchdog" in record.getMessage()]
    assert [text.split("watchdog: ")[1].split(":")[0] for text in told] == [
        "mode_collapse",
        "mode_collapse has gone",
        "mode_collapse",
    ]
    assert told[0].startswith("step 18  watchdog: mode_collapse: fakes are spread 0.000 times as far as reals. The gen")
    flags = {line["step"]: line["watchdog/mode_collapse"] for line in lines(tmp_path)}
    assert [step for step, flag in flags.items() if flag] == [*range(18, 38, 2), *range(52, 62, 2)]
    assert all(line["watchdog/oscillation"] == 0.0 for line in lines(tmp_path))


def test_the_warmup_is_not_judged(tmp_path, caplog):
    run(tmp_path, collapse(0, 26), limits=replace(LIMITS, warmup=10))  # 3 ticks after the warmup
    assert "watchdog" not in caplog.text
    assert "watchdog/mode_collapse" not in lines(tmp_path)[9]
    assert "watchdog/mode_collapse" in lines(tmp_path)[10]


def test_stop_saves_everything_and_says_why(tmp_path):
    trainer, stopped = run(tmp_path, collapse(10, 60), limits=replace(LIMITS, action="stop"))
    assert stopped
    assert trainer.step == 18
    assert trainer.stop_reason.startswith("watchdog: mode_collapse: ")
    assert (tmp_path / "checkpoints" / "step_00000018.pt").exists()
    state = read_checkpoint(tmp_path / "checkpoints" / "step_00000018.pt")
    again, stopped = run(tmp_path, collapse(10, 60), limits=replace(LIMITS, action="stop"), state=state)
    assert not stopped  # who goes on has been told
    assert again.step == 60


ROLLBACK = replace(LIMITS, action="rollback")


def test_rollback_restores_bit_for_bit_and_goes_forward(tmp_path, caplog):
    caught = {}

    def script(step):
        return collapse(14, 30)(step) if not caught else {}

    original = make_trainer().__class__.roll_back

    def spy(self, state):
        original(self, state)
        caught.update(deepcopy(self.state_dict()) | {"restored": state["step"]})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganrun.engine.trainer.Trainer.roll_back", spy)
        trainer, stopped = run(tmp_path, script, limits=ROLLBACK)
    source = read_checkpoint(tmp_path / "checkpoints" / "step_00000010.pt")
    assert not stopped
    assert caught["restored"] == 10
    assert caught["step"] == 22
    assert caught["position"] == 22  # data, and with the step all randomness, go on
    assert same(caught["game"], source["game"])
    assert same(caught["players"], source["players"])
    assert trainer.step == 60
    assert "step 22  watchdog: rolled back to step 10, going on from here. mode_collapse: " in caplog.text
    plain, _ = run(tmp_path / "plain", lambda step: {}, limits=ROLLBACK)
    assert not same(plain.state_dict()["game"], trainer.state_dict()["game"])


def test_a_checkpoint_in_the_writing_is_waited_for(tmp_path, caplog, monkeypatch):
    save = torch.save

    def slowly(state, file):
        time.sleep(0.5)
        save(state, file)

    monkeypatch.setattr(torch, "save", slowly)
    _, stopped = run(tmp_path, collapse(20, 30), steps=32, every=20, limits=ROLLBACK)
    assert not stopped
    assert "step 28  watchdog: rolled back to step 20, going on from here" in caplog.text


def test_the_best_checkpoint_is_preferred_and_spoilt_ones_are_not_taken(tmp_path):
    trainer, _ = run(tmp_path, lambda step: {}, steps=40)
    folder = RunFolder(tmp_path)
    watchdog = Watchdog(ROLLBACK, folder, Logbook(folder, 2, {}, {}))
    assert watchdog._sound_checkpoint(trainer, 35)["step"] == 30
    trainer.best = {"step": 10}
    assert watchdog._sound_checkpoint(trainer, 35)["step"] == 10
    assert watchdog._sound_checkpoint(trainer, 9) is None
    trainer.best = {}
    trainer.notes["watchdog"]["spoilt"] = [[15, 30]]
    assert watchdog._sound_checkpoint(trainer, 35)["step"] == 30  # saved after that rollback
    assert watchdog._sound_checkpoint(trainer, 25)["step"] == 10
    (tmp_path / "checkpoints" / "step_00000030.pt").write_bytes(b"")
    assert watchdog._sound_checkpoint(trainer, 35)["step"] == 10


def test_after_max_rollbacks_it_stops(tmp_path, caplog):
    trainer, stopped = run(tmp_path, collapse(14, 60), limits=ROLLBACK)
    assert stopped
    assert caplog.text.count("rolled back to step") == 2
    assert "rolled back 2 times already (watchdog.max_rollbacks)" in trainer.stop_reason
    assert trainer.step == 22 + 8 + 8


def test_without_an_earlier_checkpoint_it_stops(tmp_path):
    trainer, stopped = run(tmp_path, collapse(2, 60), limits=ROLLBACK)
    assert stopped
    assert "no checkpoint from before the trouble" in trainer.stop_reason


def test_a_loss_that_is_not_finite_is_rolled_back(tmp_path, caplog):
    broken = {"left": 1}

    def script(step):
        if step == 25 and broken["left"]:
            broken["left"] -= 1
            return {"score/real": math.nan}
        return {}

    trainer, stopped = run(tmp_path, script, limits=ROLLBACK)
    assert (trainer.step, stopped) == (60, False)
    assert "rolled back to step 20, going on from here. score/real became nan at step 25" in caplog.text
    assert [line["step"] for line in lines(tmp_path)][11:14] == [24, 28, 30]  # the broken tick left no line
    with pytest.raises(RunError, match=r"score/real became nan at step 25. The last good checkpoint is .*Start a new"):
        run(tmp_path / "warn", lambda step: {"score/real": math.nan} if step == 25 else {})
    with pytest.raises(RunError, match="became nan"):
        run(tmp_path / "often", lambda step: {"score/real": math.nan} if step >= 25 else {}, limits=ROLLBACK)


@pytest.mark.parametrize("stop_at", [17, 20, 21, 23, 31])
def test_resume_is_exact_with_a_rollback_in_between(tmp_path, stop_at):
    """Also where the stop cuts a tick in two."""
    script = collapse(14, 24)
    whole, _ = run(tmp_path / "whole", script, limits=ROLLBACK)
    _, stopped = run(tmp_path / "parts", script, limits=ROLLBACK, stop_at=stop_at)
    assert stopped
    state = read_checkpoint(tmp_path / "parts" / "checkpoints" / f"step_{stop_at:08d}.pt")
    parts, _ = run(tmp_path / "parts", script, limits=ROLLBACK, state=state)
    one, other = whole.state_dict(), parts.state_dict()
    assert whole.notes["watchdog"]["rollbacks"] == 1
    assert same(one["game"], other["game"])
    assert same(one["players"], other["players"])
    assert one["notes"]["watchdog"]["spoilt"] == other["notes"]["watchdog"]["spoilt"] == [[14, 22]]


def test_a_game_without_such_curves_is_left_alone(tmp_path):
    folder = RunFolder(tmp_path)
    logbook = Logbook(folder, 2, {"seed": 0}, {})
    logbook.watchdog = Watchdog(LIMITS, folder, logbook)
    trainer = make_trainer(20, helpers=[logbook])
    trainer.fit(make_game())
    logbook.close(True)
    assert not any(tag.startswith("watchdog") for line in lines(tmp_path) for tag in line)
