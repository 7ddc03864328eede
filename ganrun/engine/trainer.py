"""The trainer: plays any game, step by step, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

import torch

from ganrun.core.errors import RunError
from ganrun.core.modules import evaluation_mode
from ganrun.core.tensors import snapshot
from ganrun.core.types import Batch, Dataset, Moment, Move
from ganrun.engine import capture, distributed, precision, stages, standing
from ganrun.engine.capture import Recorder
from ganrun.engine.player import OptimizerFactory, averaged, make_players
from ganrun.engine.seeding import fixed_seed, reseed
from ganrun.engine.settings import PlayerSettings, TrainerSettings
from ganrun.engine.stream import Stream
from ganrun.games.base import Game, Stage


class Helper(Protocol):
    """Something periodic: logbook, pictures, scores, checkpoints."""

    def begin(self, trainer: Trainer) -> None:
        """Called once, when the first stage has been entered and restored."""

    def after_step(self, trainer: Trainer) -> None:
        """Called after every step."""

    def finish(self, trainer: Trainer) -> None:
        """Called once, when every stage has had its steps."""


class Stopped(Exception):  # noqa: N818  (not an error)
    """Training was asked to stop; everything was saved."""


class Trainer:
    """Plays a game: differentiates its moves, updates its players, asks its helpers.

    Args:
        settings: how long and where.
        seed: of everything random.
        dataset: what the stream draws from.
        optimizers: player -> optimizer factory.
        players: player -> settings.
        helpers: asked after every step, in this order.
        checkpoint: state to resume from, as returned by :meth:`state_dict`.

    Attributes:
        best: step, metric and value of the best score; empty without one.
        scores: step -> value of the selecting metric.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        seed: int,
        dataset: Dataset,
        optimizers: dict[str, OptimizerFactory],
        players: dict[str, PlayerSettings],
        helpers: list[Helper],
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.dataset = dataset
        self.helpers = helpers
        self.device = resolve_device(settings.device)
        self.precision = precision.resolve_precision(settings.precision, self.device)
        self.step = 0
        self.best: dict[str, Any] = {}
        self.scores: dict[int, float] = {}
        self.notes: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self.stop_requested = False
        self.stop_reason = ""
        self.stop_status = "stopped"
        self._graphs = capture.graphs_on(self.device, settings.capture)
        self._optimizers = optimizers
        self._player_settings = players
        self._checkpoint = checkpoint
        self._finished: list[dict[str, Any]] = [] if checkpoint is None else checkpoint["finished"]
        dataset.place(str(self.device))
        processes = distributed.world_size()
        micro_batch, left = divmod(settings.batch_size, processes * settings.accumulate)
        if left:
            raise RunError(
                f"trainer.batch_size={settings.batch_size} cannot be shared by {processes} processes x "
                f"{settings.accumulate} micro-batches. Use a multiple of {processes * settings.accumulate}."
            )
        self.stream = Stream(dataset, micro_batch, seed, distributed.rank(), processes)

    def fit(self, game: Game) -> None:
        """Train every stage of ``game``.

        Raises:
            Stopped: training was asked to stop.
            RunError: a loss is not finite.
        """
        self.game = game
        begun = False
        for index, stage in stages.walk(game, self.seed, self._finished, self._prepare):
            self.enter(index, stage)
            if not begun:
                self.ask("begin")
                begun = True
            while self.step < self.stage_start + self.settings.steps:
                self.play_step(stage.game)
                self.ask("after_step")
                if distributed.any_process(self.stop_requested):
                    raise Stopped
            self._finished.append(snapshot(stage.game.state_dict()))
        self._finished.pop()  # the last stage can go on, so checkpoints keep it as the current one
        self.ask("finish")

    def _prepare(self, stage: Stage) -> None:
        precision.prepare(stage.game, self.device, self.precision)

    def enter(self, index: int, stage: Stage) -> None:
        """Make the stage's players; take up a checkpoint made in this stage."""
        self.stage_index, self.stage, self.stage_start = index, stage, self.step
        stage.game.train()
        distributed.broadcast(self.game)  # also finished stages that this one builds on: their buffers were each rank's
        self.players = make_players(stage.game, self._optimizers, self._player_settings)
        self._recorder = self._make_recorder(stage.game)
        if self._checkpoint is not None:
            self.load_state_dict(self._checkpoint)
            self._checkpoint = None

    def _make_recorder(self, game: Game) -> Recorder | None:
        if self._graphs is None:
            return None
        for player in self.players.values():
            player.keep_numbers_on(self.device)
        return Recorder(partial(self.play_moves, game), self.stream, game.statistics, self.device, self._graphs)

    def play_step(self, game: Game) -> None:
        """One pass through the game's ``play``: every player has its turn."""
        reseed(self.seed, distributed.rank(), self.step)
        game.statistics.step = self.step + 1
        for player in self.players.values():
            player.begin_step(self.progress, self.stream.images_seen, self.settings.batch_size)
        moment, started = Moment(self.step, self.progress), self._computing_since()
        if self._recorder is None:
            self.play_moves(game, moment, self.stream)
        elif self._recorder.play(moment):
            self._account("step", self._computing_since() - started)
        self.step += 1

    def play_moves(self, game: Game, moment: Moment, batches: Iterator[Batch]) -> None:
        """Every move of a step, and the updates that follow from it."""
        game.begin_step(moment)
        plays = [game.play(batches) for _ in range(self.settings.accumulate)]
        started = self._computing_since()
        try:
            while movers := self.move(game, plays):
                for name in movers:
                    norm = self.players[name].update()
                    game.statistics.report(f"gradient_norm/{name}", norm)
                ended = self._computing_since()
                self._account("+".join(movers), ended - started)
                started = ended
        except RuntimeError:  # where it was a recording that failed, the step is played after all
            for player in self.players.values():
                player.optimizer.zero_grad()
            raise

    def move(self, game: Game, plays: list[Iterator[Move]]) -> list[str]:
        """Differentiate the next move of every micro-batch; the players whose gradients are now complete."""
        movers: list[str] = []
        for play in plays:
            move = next(play, None)
            if move is None:
                return []
            entries = [((names,) if isinstance(names, str) else names, terms) for names, terms in move.items()]
            movers = [name for names, _ in entries for name in names]
            for names, terms in entries:
                loss = torch.stack(list(terms.values())).sum()
                parameters = [parameter for name in names for parameter in self.players[name].parameters]
                together = names != entries[-1][0]  # entries of one move may share a graph
                (loss / len(plays)).backward(inputs=parameters, retain_graph=together)
                for term, value in terms.items():
                    game.statistics.report(f"loss/{'+'.join(names)}/{term}", value)
        return movers

    def stop(self, reason: str, status: str = "stopped") -> None:
        """Ask for an end after this step.

        Args:
            reason: why; empty where a signal asked.
            status: of the run afterwards: ``stopped``, or ``pruned`` where nothing is left to be done.
        """
        self.stop_requested, self.stop_reason, self.stop_status = True, reason, status

    def ask(self, moment: str) -> None:
        """Let every helper do its part, and account for its time."""
        for helper in self.helpers:
            with self.timed(type(helper).__name__.lower()):
                getattr(helper, moment)(self)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the block's wall time to the breakdown under ``name``."""
        started = time.perf_counter()
        yield
        self._account(name, time.perf_counter() - started)

    def _account(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _computing_since(self) -> float:
        """Wall clock without the time spent on data, which the stream accounts for; on CUDA, time of the host."""
        return time.perf_counter() - self.stream.seconds

    @contextmanager
    def sampling(self, *seed: int | str) -> Iterator[None]:
        """Averaged weights, evaluation mode, no gradients and a seed of its own inside the block.

        With standing statistics, where they are asked for. Nothing of it is left behind.
        """
        with (
            averaged(self.players.values()),
            evaluation_mode(self.game),
            torch.no_grad(),
            standing.statistics(self.game, self.settings, self.seed),
            fixed_seed(self.seed, *seed),
        ):
            yield

    @property
    def progress(self) -> float:
        """Share of the current stage that has been played, in [0, 1)."""
        return (self.step - self.stage_start) / self.settings.steps

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that decides how training goes on; a collective call when there are several processes."""
        buffers = dict(self.stage.game.named_buffers())
        state = {
            "step": self.step,
            "stage": self.stage_index,
            "stage_start": self.stage_start,
            "position": self.stream.position,
            "game": self.stage.game.state_dict(),
            "buffers": distributed.gather(snapshot(buffers)) if distributed.world_size() > 1 else [],
            "players": {name: player.state_dict() for name, player in self.players.items()},
            "best": self.best,
            "scores": self.scores,
            "notes": self.notes,
            "facts": asdict(self.dataset.facts),
        }
        return snapshot(state) | {"finished": self._finished[: self.stage_index]}  # these change no more

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state made in the current stage."""
        self.step, self.stage_start = state["step"], state["stage_start"]
        self.stream.position, self.best, self.notes = state["position"], state["best"], state.get("notes", {})
        self.scores = state.get("scores", {})
        self._restore(state)

    def roll_back(self, state: dict[str, Any]) -> None:
        """Take up weights, buffers, optimizers and averages of an earlier state of this stage.

        The step, and with it the position in the data and all randomness, stays: what follows is not what followed
        the first time.
        """
        self._restore(state)
        if self.best.get("step") == self.step:  # that was the state which has just been given up
            self.best = state["best"]

    def _restore(self, state: dict[str, Any]) -> None:
        self.stage.game.load_state_dict(state["game"])
        if len(state["buffers"]) == distributed.world_size():
            self.stage.game.load_state_dict(state["buffers"][distributed.rank()], strict=False)
        for name, player in self.players.items():
            player.load_state_dict(state["players"][name])
        if self._recorder is not None:
            self._recorder.forget()


def resolve_device(device: str) -> torch.device:
    """The device to train on.

    Raises:
        RunError: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise RunError("trainer.device=cuda, but torch sees no CUDA device. Use trainer.device=auto or cpu.")
    if device == "cpu" or not available:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
