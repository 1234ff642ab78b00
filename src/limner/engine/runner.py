"""Runs requests through their model: text, steps, pixels. Knows memory, not people."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from limner.engine.batch import Batch
from limner.engine.curve import BUCKETS, Curve, bucket_of
from limner.engine.decoder import Undecoded, event_of
from limner.engine.measure import PREPARE_S, Curves, measure
from limner.engine.patience import step_patience_s
from limner.engine.request import Group, RunningRequest
from limner.engine.room import Room
from limner.engine.scheduler import LONG_STEP_S
from limner.engine.slots import Slots
from limner.errors import EngineFailed, ModelUnusable
from limner.models.graph import GraphPool, give_back_memory
from limner.models.memory import OutOfMemory, told_as_memory
from limner.models.stable_diffusion import StableDiffusion

log = logging.getLogger(__name__)

KEPT_SHAPES = 8
UNMEASURED = {1: 0.1, BUCKETS[-1]: 0.2}


@dataclass(slots=True)
class _Place:
    """Where the requests of one group are kept and run. `batches` by their size."""

    slots: Slots
    batches: dict[int, Batch] = field(default_factory=dict)


class Runner:
    """`models` by name. The buffers of the latest shapes are kept.

    `exact`: every forward has this many rows, so that a picture is always the same to the bit; None: as many
    as are needed. `in_float32` loads a model again, for pictures that came to nothing in fewer bits.
    `graphs`: where steps are captured, on a device that can do that.
    """

    def __init__(
        self,
        models: Mapping[str, StableDiffusion],
        exact: int | None = None,
        in_float32: Callable[[str], StableDiffusion] | None = None,
        graphs: GraphPool | None = None,
    ) -> None:
        self._models = models
        self._graphs = graphs
        self.exact = exact
        self._in_float32 = in_float32 or models.__getitem__
        self._precise: dict[str, StableDiffusion] = {}
        self._places: dict[Group, _Place] = {}
        self._rooms: dict[Group, Room] = {}
        self._native: dict[str, tuple[int, Curve]] = {}
        self._curves: dict[Group, Curve] = {}
        self._unprepared: deque[tuple[Group, int]] = deque()

    def warm_up(self, name: str, width: int, height: int, curves: Curves, key: str) -> Curve:
        """Measure the model at its native size, or remember what was measured under `key`.

        Raises `ModelUnusable` where there is no memory for a step.
        """
        group = Group(name, self._models[name].latent_shape(width, height))
        told = None if self.exact else curves.get(key)
        known = told or self._measured(group, curves, key)
        self._native[name] = group.shape.height * group.shape.width, Curve(name, known)
        self._curves.clear()
        if self._graphs and not told:
            # Captured from the smallest up, each found what the one before had left too small.
            self._place(group).batches.clear()
            give_back_memory()
        try:
            with told_as_memory():
                self._model(group).encode("")
        except OutOfMemory:
            self.shrink(group)
        if self._graphs or told:
            self._prepare(group)
        curve = self.curve(group)
        shown = ", ".join(f"{rows}: {1000 * seconds:.0f} ms" for rows, seconds in known.items())
        log.info("%s: up to %d rows at once; a step by rows: %s", name, curve.most_rows, shown)
        return curve

    def _measured(self, group: Group, curves: Curves, key: str) -> Mapping[int, float]:
        sizes = (self.exact,) if self.exact else BUCKETS
        model = self._model(group)
        # torch prepares much only where that was asked for (--compile), and keeps it for the next start.
        prepare_s = PREPARE_S if model.backend == "openvino" else math.inf
        try:
            measured = measure(
                lambda rows: self._rehearse(group, rows),
                sizes,
                on_processor=model.device.type == "cpu",
                prepare_s=prepare_s,
            )
        except OutOfMemory as error:
            remedy = "leave --exact out, which keeps batches of one size, or " if self.exact else ""
            raise ModelUnusable(
                f"{group.model}: not enough memory for a step of {sizes[0]} rows at its own size ({error}); "
                f"{remedy}give a smaller --model"
            ) from error
        if self.exact:
            (step_s,) = measured.seconds.values()
            return {1: step_s, self.exact: step_s}  # fewer rows take as long
        if not measured.disturbed and not measured.cut:
            curves.put(key, measured.seconds)
        return measured.seconds

    def _prepare(self, group: Group) -> None:
        """What is compiled or captured for the steps of one picture is so now, not in somebody's; for those
        of more, too, where that is quick, elsewhere by and by (`prepare_next`)."""
        # From the largest down: there may be less memory than when the curve was measured.
        measured = sorted(self.curve(group).measured.items(), reverse=True)
        sizes = [rows for rows, seconds in measured if rows <= 2 or seconds < LONG_STEP_S]
        later = [] if self._graphs else [rows for rows in sizes if rows > 2]
        for rows in sizes[len(later) :]:
            self._prepare_size(group, rows)
        self._unprepared += [(group, rows) for rows in later]

    @property
    def unprepared(self) -> bool:
        """Whether `prepare_next` has something to do."""
        return bool(self._unprepared)

    def prepare_next(self) -> bool:
        """Prepare one more size, while there is nothing else to do; False where all are."""
        if not self._unprepared:
            return False
        self._prepare_size(*self._unprepared.popleft())
        return True

    def _prepare_size(self, group: Group, rows: int) -> None:
        if rows > self.curve(group).most_rows:
            return
        try:
            self._rehearse(group, rows)
        except OutOfMemory:
            while self.curve(group).most_rows >= rows and self.shrink(group):
                pass

    def _rehearse(self, group: Group, rows: int) -> None:
        place = self._place(group)
        with told_as_memory():
            self._batch(place, group, self._size(rows)).rehearse()
            _synchronize(self._model(group))

    def _size(self, rows: int) -> int:
        return max(self.exact, rows) if self.exact else bucket_of(rows)

    def model(self, name: str, *, precise: bool = False) -> StableDiffusion:
        """`precise`: in float32, whatever it usually runs in. Raises `OutOfMemory`, `EngineFailed`."""
        if not precise:
            return self._models[name]
        if name not in self._precise:
            log.warning("loading %s in float32", name)
            try:
                with told_as_memory():
                    self._precise[name] = self._in_float32(name)
            except ModelUnusable as error:
                log.error("%s", error)  # it names folders
                raise EngineFailed(
                    f"the network gave values that are not numbers, and {name} cannot be loaded in float32"
                ) from error
        return self._precise[name]

    def _model(self, group: Group) -> StableDiffusion:
        return self.model(group.model, precise=group.precise)

    def curve(self, group: Group) -> Curve:
        """The native size's, for the work of a row of this group."""
        if group not in self._curves:
            positions = group.shape.height * group.shape.width
            native, curve = self._native.get(group.model, (positions, Curve(group.model, UNMEASURED)))
            kept = None if group.precise else self._models[group.model].room
            # What is compiled for all sizes of batch is to be kept.
            compiled = BUCKETS[min(kept or len(BUCKETS), len(BUCKETS)) - 1]
            limit = min(self.exact or compiled, compiled, self._rooms.get(group, Room()).rows)
            work = positions / native
            if self.exact:  # all its batches have one size, whatever a row costs
                measured = {rows: work * step_s for rows, step_s in curve.measured.items()}
                self._curves[group] = replace(curve, measured=measured, limit=limit)
            else:
                self._curves[group] = replace(curve, work=work, limit=limit)
        return self._curves[group]

    def fit(self, wanted: Collection[tuple[Group, int]]) -> bool:
        """Whether what is compiled for these groups, each with so many rows, is kept if they take turns."""
        sizes = {(group, size) for group, rows in wanted for size in self._sizes(group, rows)}
        for model, count in Counter((group.model, group.precise) for group, _ in sizes).items():
            room = None if model[1] else self._models[model[0]].room
            if room is not None and count > room:
                return False
        return True

    def _sizes(self, group: Group, rows: int) -> Collection[int]:
        """Those of the batches that somebody with so many rows may be in."""
        least = self._size(rows)
        most = max(least, self._size(self.curve(group).most_rows))
        return [size for size in BUCKETS if least <= size <= most]

    def patience_s(self, requests: Sequence[RunningRequest]) -> float:
        """After how much silence a step of these requests, of one group, is stuck."""
        group = requests[0].group
        size = self._size(sum(running.ticket.rows for running in requests))
        return step_patience_s(self.curve(group).step_s(size), prepared=self._prepared(group, size))

    def _prepared(self, group: Group, size: int) -> bool:
        if group.precise and group.model not in self._precise:
            return False
        if self._graphs:
            batch = self._places[group].batches.get(size) if group in self._places else None
            if batch is None or not batch.ready:
                return False
        return self._model(group).compiled(group.shape, size)

    def shrink(self, group: Group) -> bool:
        """After `OutOfMemory`: smaller batches of this group for a while. False when they are smallest."""
        before = self.curve(group).most_rows
        if before > 1:
            self._rooms.setdefault(group, Room()).shrink(before // 2, time.monotonic())
            self._curves.pop(group)
            log.warning("out of memory; %s now runs %d rows at once", group, self.curve(group).most_rows)
        self._forget_unused(keep=0)
        for place in self._places.values():
            place.batches.clear()
        give_back_memory()
        return before > 1

    def admit(self, running: RunningRequest) -> None:
        """Give the request its embeddings and a slot. Raises `OutOfMemory`."""
        params, model = running.request.params, self._model(running.group)
        with told_as_memory():
            positive = model.encode(params.prompt)
            negative = model.encode(params.negative_prompt) if running.guided else None
            place = self._place(running.group)
            before = place.slots.latents
            try:
                running.slot = place.slots.take(running.first_noise, positive, negative)
            finally:
                if place.slots.latents is not before:
                    place.batches.clear()  # captured with the slots that were

    def advance(self, requests: Sequence[RunningRequest]) -> int:
        """Move requests of one group one step, in a batch of as many rows as returned.

        Raises `OutOfMemory`; then none has moved.
        """
        group = requests[0].group
        size = self._size(sum(running.ticket.rows for running in requests))
        with told_as_memory():
            if not self._batch(self._place(group), group, size).ready:
                self._rehearse(group, size)
            self._batch(self._place(group), group, size).run(requests)
        _synchronize(self._model(group))
        room = self._rooms.get(group)
        if room is not None and room.widen(time.monotonic()):
            self._curves.pop(group, None)
            log.info("%s may run %d rows at once again", group, self.curve(group).most_rows)
        return size

    def finished(self, running: RunningRequest) -> Undecoded:
        """Its latents, which leave their slot. Raises `OutOfMemory`; then they stay there."""
        assert running.slot is not None
        with told_as_memory():
            latents = self._places[running.group].slots.latents[running.slot].clone()
        undecoded = Undecoded(running, self._model(running.group), latents, event_of(latents))
        self.release(running)
        return undecoded

    def release(self, running: RunningRequest) -> None:
        if running.slot is not None:
            self._places[running.group].slots.free(running.slot)
            running.slot = None
        self._forget_unused(keep=KEPT_SHAPES)

    def preview(self, running: RunningRequest) -> torch.Tensor:
        """What the picture will be, as far as it is known: `(h, w, 3)`, uint8."""
        assert running.slot is not None
        x0 = self._places[running.group].slots.x0[running.slot]
        return self._model(running.group).preview(x0)

    def _place(self, group: Group) -> _Place:
        place = self._places.pop(group, None) or _Place(Slots(self._model(group), group.shape))
        self._places[group] = place  # last in the row, so that the first is the longest unused
        return place

    def _batch(self, place: _Place, group: Group, size: int) -> Batch:
        if size not in place.batches:
            place.batches[size] = Batch(self._model(group), place.slots, size, self._graphs)
        return place.batches[size]

    def _forget_unused(self, keep: int) -> None:
        unused = [group for group, place in self._places.items() if place.slots.unused]
        old = unused[: max(0, len(self._places) - keep)]
        for group in {*old, *(group for group in unused if group.precise)}:
            del self._places[group]
        used = {group.model for group in self._places if group.precise}
        self._precise = {name: model for name, model in self._precise.items() if name in used}


def _synchronize(model: StableDiffusion) -> None:
    if model.device.type == "cuda":
        torch.cuda.current_stream(model.device).synchronize()
