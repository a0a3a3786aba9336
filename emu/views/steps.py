"""The step line of the tracer: one instruction per line, fixed columns, and the same as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.text import Text

from emu.trace.model import Event, Header, Recording
from emu.trace.steps import Step, steps
from emu.views.console import console
from emu.views.names import with_target


def step_line(header: Header, step: Step) -> Text:
    """``step  thread/g  stack[depth of size]  Δsp  symbol+offset  bytes  instruction  changed  memory  note``."""
    account = step.account
    stack = f"{account.stack.removesuffix(' stack') or '?'}[{account.depth} of {account.size}]"
    line = Text(no_wrap=True, overflow="ignore")
    moved = f"{step.sp_change:+}" if step.sp_change else ""
    line.append(f"{step.number:>5}  {step.thread}/{account.g:<8} {stack:<21} {moved:>6}  ")
    line.append(f"{step.where:<24} ")
    line.append(f"{step.code.hex():<20} ", "dim")
    line.append(f"{with_target(header.program, step.text):<40} ", "bold")
    line.append(" ".join(f"{name}*={value:#x}" for name, value in step.changed.items()), "cyan")
    memory = " ".join(_access(header, access.address, access.value, access.write) for access in step.accesses)
    line.append(f"  {memory}" if memory else "", "magenta")
    line.append("".join(f"  {note}" for note in step.notes), "bold red" if _alarming(step) else "yellow")
    line.rstrip()
    return line


def _alarming(step: Step) -> bool:
    return any(note.startswith("!") for note in step.notes)


def _access(header: Header, address: int, value: int, write: bool) -> str:
    return f"[{header.names.describe(address)}]={value:#x}" if write else f"[{header.names.describe(address)}]"


def print_steps(recording: Recording, colour: bool | None, first: int = 0) -> None:
    """A line a step, from ``first`` on, then how the run ended."""
    out = console(colour)
    for step in steps(recording, first):
        out.print(step_line(recording.header, step), soft_wrap=True)
    for event in ending(recording):
        out.print(f"{event.data['scene']}: {event.data['end']}", style="bold", markup=False)


def json_lines(recording: Recording, first: int = 0) -> Iterator[str]:
    """One object a step, then how it ended; words as hex strings, sizes and depths in bytes as numbers."""
    for step in steps(recording, first):
        yield json.dumps(_record(recording.header, step), ensure_ascii=False)
    for event in ending(recording):
        yield json.dumps({"kind": "end", **event.data})


def ending(recording: Recording) -> list[Event]:
    """The event that says how a run ended; none if the trace breaks off."""
    return [event for event in recording.events(recording.steps - 1, recording.steps) if event.kind == "end"]


def _record(header: Header, step: Step) -> dict[str, object]:
    account = step.account
    return {
        "kind": "step", "step": step.number, "thread": step.thread, "g": account.g,
        "stack": account.stack, "depth": account.depth, "size": account.size, "dsp": step.sp_change,
        "pc": hex(step.pc), "at": step.where, "bytes": step.code.hex(), "instruction": step.text,
        "changed": {name: hex(value) for name, value in step.changed.items()},
        "memory": [
            {"address": hex(a.address), "at": header.names.describe(a.address), "size": a.size, "write": a.write,
             "value": hex(a.value) if a.write else None}
            for a in step.accesses
        ],
        "guard": account.guard, "switching": account.switching, "notes": list(step.notes),
    }
