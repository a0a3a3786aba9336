"""A trace as text: step lines, folded loops, verdicts, and how the run ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from emu.progress import Progress
from emu.trace.model import Event, Recording
from emu.views.trace.choice import Choice
from emu.views.trace.items import Again, Shown, items
from emu.views.trace.line import Part, Widths, cells, check_line, head, rendered, step_line, told
from emu.views.trace.palette import Palette

_MEASURED = 200  # items that the columns are made wide enough for before the first is shown
_DIFFERENCES = 6  # registers that are named in the line of a loop


def text_lines(
    recording: Recording, choice: Choice, colour: bool, progress: Progress | None = None
) -> Iterator[str]:
    """The lines of a view, each with its end."""
    header, palette, gs = recording.header, Palette(recording) if colour else None, gs_of(recording)
    found = items(recording, choice, progress)  # refuses what cannot be chosen before anything is written
    first, widths, mask = list(islice(found, _MEASURED)), Widths(), header.arch.mask
    for item in first:
        if isinstance(item, Shown):
            widths.fit(*cells(header, item.step))
    yield from (rendered([(line, "dim")], colour) for line in head(header, widths))
    for item in chain(first, found):
        if isinstance(item, Event):
            yield rendered([_event(gs, item, mask)], colour)
        elif isinstance(item, Again):
            yield rendered(_again(item), colour)
        else:
            step = item.step
            if palette is not None:
                palette.before(step.number)
            notes = (*told(step.events, mask), *item.notes)
            yield rendered(step_line(header, step, palette, step.number == choice.marked, notes, widths), colour)
            yield from (rendered(check_line(check), colour) for check in item.checks)
    for event in ending(recording):
        yield rendered([(f"{event.data['scene']}: {event.data['end']}", "bold")], colour)


def _again(item: Again) -> list[Part]:
    turns = item.turns
    differs = [f"{name} {old:#x}…{new:#x}" for name, (old, new) in item.differs.items()]
    more = f", and {len(differs) - _DIFFERENCES} more" if len(differs) > _DIFFERENCES else ""
    told = f"; differs: {', '.join(differs[:_DIFFERENCES])}{more}" if differs else ""
    what = "this step" if turns.period == 1 else f"these {turns.period} steps"
    return [(f"{f'×{turns.times + 1}':>5}  {what}, to step {turns.last}{told}", "bold")]


def _event(gs: Mapping[int, str], event: Event, mask: int) -> Part:
    """The line of an event whose step has no row."""
    data = event.data
    if event.kind == "switch":
        what = f"switch {gs.get(data['from'], '?')}→{gs.get(data['to'], '?')}"
    elif event.kind == "guard":
        what = f"guard={data['state']} of {gs.get(data['g'], '?')}"
    else:
        what = ", ".join(told([event], mask))
    return f"{event.step:>5}  {what}", "yellow"


def gs_of(recording: Recording) -> dict[int, str]:
    """The names of all gs that the run ever has, by address."""
    header, changes = recording.header, recording.changes(-1, recording.steps)
    found = {stack.g: stack.label for stack in header.stacks if stack.g}
    found |= {struct.address: struct.label for struct in header.structs if struct.kind == "g"}
    for event in changes:
        if event.kind == "stack" and event.data.get("g"):
            found[event.data["g"]] = event.data["label"]
        elif event.kind == "struct" and event.data["kind"] == "g":
            found[event.data["address"]] = event.data["label"]
    return found


def ending(recording: Recording) -> list[Event]:
    """The event that says how a run ended; none if the trace breaks off."""
    return [event for event in recording.events(recording.steps - 1, recording.steps) if event.kind == "end"]
