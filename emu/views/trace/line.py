"""The step line of the tracer: one instruction per line, fixed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from rich.color import ColorSystem
from rich.style import Style

from emu.trace.model import Event, Header
from emu.trace.steps import Access, Step
from emu.views.names import with_target
from emu.views.trace.palette import Palette

Part = tuple[str, str]  # text, and its style; none: plain
_EIGHT = ColorSystem.STANDARD  # what every terminal has
_ALARM, _NOTE = "bold red", "yellow"


def head(header: Header) -> Iterator[str]:
    """What the trace is of, and what stands in the columns."""
    release = "" if header.go in header.name else f" · {header.go}"
    yield f"# {header.entered} · {header.arch_name} · {header.name}{release}"
    yield (
        f"#{'step':>4}  {'thread/g':<10} {'stack[depth of size]':<21} {'Δsp':>6}  {'place':<24} {'bytes':<20} "
        f"{'instruction':<40} register*=value  [memory]=written  note"
    )


def step_line(
    header: Header, step: Step, palette: Palette | None = None, marked: bool = False, notes: Sequence[str] = ()
) -> list[Part]:
    """``step  thread/g  stack[depth of size]  Δsp  symbol+offset  bytes  instruction  changed  memory  note``.

    ``palette``: colours for values. ``notes``: more than those of the step.
    """
    account = step.account
    stack = f"{account.stack.removesuffix(' stack') or '?'}[{account.depth} of {account.size}]"
    moved = f"{step.sp_change:+}" if step.sp_change else ""
    moved = moved if len(moved) <= 6 else ""  # from one stack to another far away: the note tells it
    number = f">{step.number:>4}" if marked else f"{step.number:>5}"
    parts = [
        (f"{number}  {step.thread}/{account.g:<8} {stack:<21} {moved:>6}  ", "reverse" if marked else ""),
        (f"{step.where:<24} ", ""), (f"{step.code.hex():<20} ", "dim"),
        (f"{with_target(header.program, step.text):<40} ", "bold"),
    ]
    for place, (name, value) in enumerate(step.changed.items()):
        parts += [(f"{' ' if place else ''}{name}*=", ""), (f"{value:#x}", palette.of(value) if palette else "")]
    for place, access in enumerate(step.accesses):
        parts += _access(header, access, palette, " " if place else "  ")
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


def told(events: Iterable[Event]) -> Iterator[str]:
    """What events are worth a note: system calls with their arguments, and signals."""
    for event in events:
        if event.kind == "syscall" and (text := event.data.get("text") or event.data["name"]):
            result = event.data.get("result")
            yield text if result is None else f"{text} = {result}"
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
