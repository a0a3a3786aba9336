"""What a recorded run carries: each crossing as a list of effects."""

from __future__ import annotations

from dataclasses import dataclass

from emu.trace.effects import Effect, Reading
from emu.trace.model import Recording
from emu.trace.roles import Roles
from emu.trace.spans import Span, spans


@dataclass(frozen=True)
class Passage:
    """One stretch of a crossing, up to where it hands over. ``leaves``: who runs next; ``after``: who ran before."""

    span: Span
    after: str
    leaves: str
    effects: tuple[Effect, ...]

    @property
    def title(self) -> str:
        """The passage in words."""
        return f"{self.span.routine}{f' after {self.after}' if self.after else ''} → {self.leaves}"


def passages(recording: Recording) -> list[Passage]:
    """All crossings of a run, in order."""
    known: dict[tuple[int, str], tuple[Roles, Passage]] = {}
    found: list[Passage] = []
    for span in spans(recording):
        key = span.thread, span.routine
        roles, before = known.get(key, (None, None)) if not span.entered else (None, None)
        passage, roles = _passage(recording, span, roles, before)
        known[key] = roles, passage
        found.append(passage)
    return found


def _passage(
    recording: Recording, span: Span, roles: Roles | None, before: Passage | None
) -> tuple[Passage, Roles]:
    state = recording.state(span.first)
    if roles is None:
        roles = Roles(recording.header, state, span)
    else:
        roles.go_on(state)
    if before is not None and before.effects and before.effects[-1].kind == "kernel":
        roles.answered(state)
    reading = Reading(recording, span, roles)
    effects = reading.effects()
    leaves = reading.leaves or (effects[-1].source.text if effects else "?")
    goes_on = before.leaves if before is not None else "" if span.entered else "?"
    return Passage(span, goes_on, leaves, tuple(effects)), roles
