"""Whole steps as CUDA graphs: recorded once, played again without Python naming every kernel.

A step of a small GAN is many hundred kernels, each of them shorter than the time that Python needs to launch it. A
graph launches all of them at once: critic loop, penalties with their double backward, optimizers, averages, statistics.
It repeats what was recorded to the letter, so what differs between two steps must be handed in:

* batches are drawn outside and copied to where the recorded step reads them;
* random numbers are a function of the default generator's seed, which is set before every step;
* learning rates and weights of averages are scalar tensors of the players; other numbers that follow a schedule are
  asked of :meth:`ganrun.core.types.Moment.value`, which gives a scalar tensor, too;
* where the moment decides how a step goes on (:meth:`ganrun.core.types.Moment.decide`), there is a recording for every
  course that it can take: one with and one without a lazy penalty, for instance.

A game that reads numbers back from the device, or does something else that cannot be recorded, is found out while its
first steps are played as usual, and goes on being played so.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganrun.core.schedules import Schedule
from ganrun.core.statistics import Statistics, joined
from ganrun.core.types import Answer, Batch, Moment
from ganrun.engine import distributed

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Play = Callable[[Moment, Iterator[Batch]], None]

WARM_UPS = 2
"""Steps of a course that are played as usual before it is recorded: libraries choose algorithms, optimizers make their
state."""
MOST_COURSES = 32
"""Recordings that are kept; beyond, the one that has not been played for the longest time is dropped."""


class Graphs(Protocol):
    """What records work on a device."""

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do ``work`` as usual, where it will be recorded."""

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record ``work`` without doing it; what does it, and its result, which is filled in whenever it is done.

        Raises:
            RuntimeError: it cannot be recorded.
        """


class CudaGraphs:
    """CUDA graphs that share their memory: no two are under way at once, and nothing in it outlives a step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], Result]) -> Result:
        """Do ``work`` as usual, on the stream of the recordings."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            result = work()
        torch.cuda.current_stream(self.device).wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Record ``work``; see :class:`Graphs`."""
        graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[self.device.index]
        state = generator.get_state()
        try:
            # Other threads may do as they like meanwhile: they read images ahead and write checkpoints.
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                result = work()
        except Exception:
            # A capture that fails leaves the generator waiting for its end.
            generator.graphsafe_set_state(torch.Generator(self.device).graphsafe_get_state())
            generator.set_state(state)
            raise
        return graph.replay, result


def graphs_on(device: torch.device, capture: Literal["auto", "never"]) -> Graphs | None:
    """What records steps, or ``None`` where they are played as usual."""
    if capture == "never" or device.type != "cuda":
        return None
    if distributed.world_size() > 1:
        log.info("steps are not recorded: several processes train together")
        return None
    return CudaGraphs(device)


@dataclass
class Course:
    """One way that a step can go.

    Attributes:
        decisions: questions that the step put to the moment, with the answers that make it go this way.
        scalars: schedules that the step follows, each with the tensor that it reads.
        drawn: batches that the step draws.
        played: how often it was played as usual.
        inputs: where the recorded step reads its batches.
        replay: plays the recorded step; ``None`` before.
        tags: what the step reports ...
        values: ... and its values ``[tags]``.
        newest: samples of distributions.
    """

    decisions: list[tuple[Callable[[Moment], Any], Any]] = field(default_factory=list)
    scalars: list[tuple[Schedule, Tensor]] = field(default_factory=list)
    drawn: int = 0
    played: int = 0
    inputs: list[Batch] = field(default_factory=list)
    replay: Callable[[], None] | None = None
    tags: tuple[str, ...] = ()
    values: Tensor = field(default_factory=lambda: torch.empty(0))
    newest: dict[str, Tensor] = field(default_factory=dict)

    def fits(self, moment: Moment) -> bool:
        """Whether the step goes this way now."""
        return all(question(moment) == answer for question, answer in self.decisions)


class Recorder:
    """Plays the steps of one game: the first of every course as usual, the others from recordings.

    Args:
        play: plays a step as usual, on batches from the iterator that it is given.
        stream: where batches come from.
        statistics: what ``play`` reports to.
        device: of the game.
        graphs: what records.
    """

    def __init__(
        self, play: Play, stream: Iterator[Batch], statistics: Statistics, device: torch.device, graphs: Graphs
    ) -> None:
        self._play = play
        self._stream = stream
        self._statistics = statistics
        self._device = device
        self._graphs = graphs
        self._courses: list[Course] = []
        self._given_up = False

    def play(self, moment: Moment) -> bool:
        """Play the step of this moment; whether that was done from a recording."""
        if self._given_up:
            self._play(moment, self._stream)
            return False
        course = self._course_of(moment)
        if course.replay is not None:
            self._replay(course, moment)
        elif course.played < WARM_UPS:
            self._warm_up(course, moment)
        else:
            self._record(course, moment)
        return course.replay is not None

    def forget(self) -> None:
        """Drop all recordings: tensors that they work on have been replaced."""
        self._courses = []

    def _course_of(self, moment: Moment) -> Course:
        """The course that fits, or a new one; moved to the end, so that the others grow old."""
        course = next((course for course in self._courses if course.fits(moment)), Course())
        others = [other for other in self._courses if other is not course]
        self._courses = [*others[1 - MOST_COURSES :], course]
        return course

    def _warm_up(self, course: Course, moment: Moment) -> None:
        trace, inspector = Trace(moment, course, self._device, recording=False), Inspector(self._device)
        course.drawn = 0

        def draw() -> Iterator[Batch]:
            while True:
                with inspector.looking_away():
                    batch = next(self._stream)
                course.drawn += 1
                yield batch

        def work() -> str:
            with inspector:
                self._play(TracedMoment(trace), draw())
            return trace.objection or inspector.objection

        course.played += 1
        if reason := self._graphs.warm_up(work):
            self._give_up(reason)

    def _record(self, course: Course, moment: Moment) -> None:
        trace = Trace(moment, course, self._device, recording=True)
        course.inputs = [copied(next(self._stream)) for _ in range(course.drawn)]

        def work() -> tuple[tuple[str, ...], Tensor]:
            with self._statistics.apart() as rows:
                self._play(TracedMoment(trace), iter(course.inputs))
            return joined(rows)

        try:
            course.replay, (course.tags, course.values) = self._graphs.record(work)
        except RuntimeError as error:
            self._give_up((str(error) or type(error).__name__).splitlines()[0])
            self._play(moment, iter(course.inputs))
            return
        course.newest = dict(self._statistics.newest)
        self._launch(course, moment)

    def _replay(self, course: Course, moment: Moment) -> None:
        for place in course.inputs:
            for tensor, new in zip(tensors_of(place), tensors_of(next(self._stream)), strict=True):
                tensor.copy_(new, non_blocking=True)
        self._launch(course, moment)

    def _launch(self, course: Course, moment: Moment) -> None:
        for schedule, scalar in course.scalars:
            scalar.fill_(schedule(moment.progress))
        assert course.replay is not None
        course.replay()
        self._statistics.add(course.tags, course.values.clone())  # the next step overwrites them
        self._statistics.newest = dict(course.newest)

    def _give_up(self, reason: str) -> None:
        log.warning("steps are not recorded as CUDA graphs, which makes small networks slow: %s", reason)
        self._given_up = True
        self._courses = []


class Trace:
    """What a step asks of the moment, noted down in its course.

    Args:
        moment: when the step is played.
        course: what the step turns out to be.
        device: where schedules' values are read.
        recording: whether it is recorded now, and not played.

    Attributes:
        objection: why the step cannot be recorded; empty where nothing is known against it.
    """

    def __init__(self, moment: Moment, course: Course, device: torch.device, recording: bool) -> None:
        self.moment = moment
        self.course = course
        self.device = device
        self.recording = recording
        self.objection = ""
        self._asked = 0
        self._followed = 0

    def value(self, schedule: Schedule) -> Tensor:
        """The scalar that follows ``schedule``."""
        if self._followed == len(self.course.scalars):
            self.course.scalars.append((schedule, torch.empty((), device=self.device)))
        _, scalar = self.course.scalars[self._followed]
        self._followed += 1
        return scalar if self.recording else scalar.fill_(schedule(self.moment.progress))

    def decide(self, question: Callable[[Moment], Answer]) -> Answer:
        """The answer, on which the course depends from now on."""
        answer = question(self.moment)
        if self._asked == len(self.course.decisions):
            self.course.decisions.append((question, answer))
        self._asked += 1
        return answer

    def read(self, name: Literal["step", "progress"]) -> Any:
        """The moment's own number, which a recording would repeat for ever."""
        self.objection = f"{culprit()} reads moment.{name}, where moment.decide or moment.value should be asked"
        return getattr(self.moment, name)


class TracedMoment(Moment):
    """A moment in a step that is, or will be, recorded.

    Args:
        trace: what it passes every question on to.
    """

    def __init__(self, trace: Trace) -> None:
        object.__setattr__(self, "_trace", trace)

    _trace: Trace
    step = property(lambda self: self._trace.read("step"))
    progress = property(lambda self: self._trace.read("progress"))

    def value(self, schedule: Schedule) -> Tensor:
        """See :meth:`Trace.value`."""
        return self._trace.value(schedule)

    def decide(self, question: Callable[[Moment], Answer]) -> Answer:
        """See :meth:`Trace.decide`."""
        return self._trace.decide(question)


class Inspector(TorchDispatchMode):
    """Looks at every operation of a step for those that a recording does not repeat.

    Args:
        device: where the step is played.

    Attributes:
        objection: what was found first, and where; empty: nothing.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.objection = ""
        self._looks = True

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Inside the block everything is allowed: it is not going to be recorded."""
        self._looks = False
        try:
            yield
        finally:
            self._looks = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and judge it."""
        result = func(*args, **(kwargs or {}))
        if self._looks and not self.objection and (fault := self._fault(func, args, result)):
            self.objection = f"{culprit()} {fault} ({func})"
        return result

    def _fault(self, func: Any, args: Any, result: Any) -> str:
        name = func.overloadpacket.__name__
        if name in _READ_BACK:
            return "waits for a number from the device"
        if name in _OF_UNKNOWN_SIZE or (name.startswith("index") and _has_mask(args)):
            return "makes a tensor whose size only the device knows"
        if name == "lift_fresh":
            return "makes a tensor of numbers from the host"
        places = {leaf.device.type for leaf in tree_leaves((args, result)) if isinstance(leaf, Tensor)}
        return f"computes on {', '.join(sorted(places))}" if places - {self.device.type} else ""


_READ_BACK = {"_local_scalar_dense", "equal", "is_nonzero"}
_OF_UNKNOWN_SIZE = {"nonzero", "masked_select", "unique", "_unique2", "unique_dim", "unique_consecutive", "bincount"}


def _has_mask(args: Any) -> bool:
    indices = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    return any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)


def culprit() -> str:
    """The innermost line on the stack that is neither torch's nor ours here."""
    torch_folder = str(Path(torch.__file__).parent)
    for frame in reversed(traceback.extract_stack()):
        if frame.filename != __file__ and not frame.filename.startswith((torch_folder, "<")):
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return "it"


def copied(batch: Batch) -> Batch:
    """A batch in memory of its own."""
    condition = None if batch.condition is None else batch.condition.clone()
    return Batch(tuple(domain.clone() for domain in batch.domains), condition)


def tensors_of(batch: Batch) -> tuple[Tensor, ...]:
    """Everything in a batch."""
    return batch.domains if batch.condition is None else (*batch.domains, batch.condition)
