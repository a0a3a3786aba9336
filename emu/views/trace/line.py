"""The step line of the tracer: one instruction per line, fixed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from rich.color import ColorSystem
from rich.style import Style

from arch import calltext
from emu.trace.model import Event, Header
from emu.trace.steps import Access, Step
from emu.views.names import with_target
from emu.views.trace.palette import Palette

Part = tuple[str, str]  # text, and its style; none: plain
_EIGHT = ColorSystem.STANDARD  # what every terminal has
_WIDEST = 60  # of a column that names of functions stand in
_ALARM, _NOTE = "bold red", "yellow"


@dataclass
class Widths:
    """Characters of the columns that are not of one width: those that were needed so far, up to `_WIDEST`."""

    who: int = 10
    stack: int = 21
    place: int = 24
    code: int = 20
    text: int = 40

    def fit(self, who: str, stack: str, place: str, code: str, text: str) -> None:
        """Make them wide enough for a line. They never get narrower."""
        self.who, self.stack = max(self.who, len(who)), max(self.stack, len(stack))
        self.code = max(self.code, len(code))
        self.place = max(self.place, min(len(place), _WIDEST))
        self.text = max(self.text, min(len(text), _WIDEST))


def cells(header: Header, step: Step) -> tuple[str, str, str, str, str]:
    """What a line has in the columns of `Widths`."""
    account = step.account
    stack = f"{account.stack.removesuffix(' stack') or '?'}[{account.depth} of {account.size}]"
    text = with_target(header.program, step.text)
    return f"{step.thread}/{account.g}", stack, step.where, step.code.hex(), text


def head(header: Header, widths: Widths | None = None) -> Iterator[str]:
    """What the trace is of, and what stands in the columns."""
    w = widths or Widths()
    release = "" if header.go in header.name else f" · {header.go}"
    yield f"# {header.entered} · {header.arch_name} · {header.name}{release}"
    yield (
        f"#{'step':>4}  {'thread/g':<{w.who}} {'stack[depth of size]':<{w.stack}} {'Δsp':>6}  "
        f"{'place':<{w.place}} {'bytes':<{w.code}} {'instruction':<{w.text}} register*=value  [memory]=written  note"
    )


def step_line(
    header: Header, step: Step, palette: Palette | None = None, marked: bool = False, notes: Sequence[str] = (),
    widths: Widths | None = None,
) -> list[Part]:
    """``step  thread/g  stack[depth of size]  Δsp  symbol+offset  bytes  instruction  changed  memory  note``.

    ``palette``: colours for values. ``notes``: more than those of the step.
    """
    w, (who, stack, place, code, text) = widths or Widths(), cells(header, step)
    w.fit(who, stack, place, code, text)
    moved = f"{step.sp_change:+}" if step.sp_change else ""
    moved = moved if len(moved) <= 6 else ""  # from one stack to another far away: the note tells it
    number = f">{step.number:>4}" if marked else f"{step.number:>5}"
    parts = [
        (f"{number}  {who:<{w.who}} {stack:<{w.stack}} {moved:>6}  ", "reverse" if marked else ""),
        (f"{place:<{w.place}} ", ""), (f"{code:<{w.code}} ", "dim"),
        (f"{text:<{w.text}} ", "bold"),
    ]
    for nth, (name, value) in enumerate(step.changed.items()):
        parts += [(f"{' ' if nth else ''}{name}*=", ""), (f"{value:#x}", palette.of(value) if palette else "")]
    for nth, access in enumerate(step.accesses):
        parts += _access(header, access, palette, " " if nth else "  ")
    every = (*step.notes, *notes)
    style = _ALARM if any(note.startswith("!") for note in every) else _NOTE
    return [*parts, ("".join(f"  {note}" for note in every), style)]


def _access(header: Header, access: Access, palette: Palette | None, gap: str) -> Iterator[Part]:
    yield f"{gap}[", ""
    yield header.names.describe(access.address), palette.of(access.address) if palette else ""
    yield "]", ""
    if access.write:
        yield "=", ""
        yield f"{access.value:#x}", palette.of(access.value) if palette else ""


def told(events: Iterable[Event], mask: int) -> Iterator[str]:
    """What events are worth a note: system calls with their arguments, and signals. ``mask``: all bits of a word."""
    for event in events:
        if event.kind == "syscall" and (text := event.data.get("text") or event.data["name"]):
            result = event.data.get("result")
            yield text if result is None else f"{text} = {calltext.answer(event.data['name'], result, mask)}"
        elif event.kind == "signal":
            yield f"signal {event.data['name']}"


def check_line(event: Event) -> list[Part]:
    """A verdict, below the step that it is about."""
    data = event.data
    if data["ok"]:
        return [(f"   ok  {data['name']}: {data['found']}", "green")]
    return [(f"    !  {data['name']}: expected {data['expected']}, found {data['found']}", _ALARM)]


@cache
def _style(name: str) -> Style:
    return Style.parse(name)


def rendered(parts: Iterable[Part], colour: bool) -> str:
    """A line of output."""
    if not colour:
        return "".join(text for text, _ in parts).rstrip() + "\n"
    return "".join(_style(style).render(text, color_system=_EIGHT) if style else text for text, style in parts) + "\n"
