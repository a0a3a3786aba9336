"""The step line of the tracer: one instruction per line, fixed columns, and the same as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.text import Text

from emu.freerun import Run
from emu.runtime.world import World
from emu.trace.tracer import Step
from emu.views.names import with_target


def step_line(world: World, step: Step) -> Text:
    """``step  thread/g  stack[depth of size]  Δsp  symbol+offset  bytes  instruction  changed  memory  note``."""
    account = step.account
    stack = f"{account.stack.removesuffix(' stack') or '?'}[{account.depth} of {account.size}]"
    line = Text(no_wrap=True, overflow="ignore")
    moved = f"{step.sp_change:+}" if step.sp_change else ""
    line.append(f"{step.number:>5}  m/{account.g:<8} {stack:<21} {moved:>6}  ")
    line.append(f"{step.where:<24} ")
    line.append(f"{step.code.hex():<20} ", "dim")
    line.append(f"{with_target(world.program, step.text):<40} ", "bold")
    line.append(" ".join(f"{name}*={value:#x}" for name, value in step.changed.items()), "cyan")
    memory = " ".join(_access(world, access.address, access.value, access.write) for access in step.accesses)
    line.append(f"  {memory}" if memory else "", "magenta")
    line.append("".join(f"  {note}" for note in step.notes), "bold red" if _alarming(step) else "yellow")
    line.rstrip()
    return line


def _alarming(step: Step) -> bool:
    return any(note.startswith("!") for note in step.notes)


def _access(world: World, address: int, value: int, write: bool) -> str:
    return f"[{world.describe(address)}]={value:#x}" if write else f"[{world.describe(address)}]"


def json_lines(run: Run) -> Iterator[str]:
    """One object a step, then how it ended; words as hex strings, sizes and depths in bytes as numbers."""
    for step in run.steps:
        yield json.dumps(_record(run.world, step), ensure_ascii=False)
    end = {"kind": "end", "scene": run.scene, "outcome": run.outcome, "end": run.end, "steps": len(run.steps)}
    yield json.dumps(end)


def _record(world: World, step: Step) -> dict[str, object]:
    account = step.account
    return {
        "kind": "step", "step": step.number, "thread": "m", "g": account.g,
        "stack": account.stack, "depth": account.depth, "size": account.size, "dsp": step.sp_change,
        "pc": hex(step.pc), "at": step.where, "bytes": step.code.hex(), "instruction": step.text,
        "changed": {name: hex(value) for name, value in step.changed.items()},
        "memory": [
            {"address": hex(a.address), "at": world.describe(a.address), "size": a.size, "write": a.write,
             "value": hex(a.value) if a.write else None}
            for a in step.accesses
        ],
        "guard": account.guard, "switching": account.switching, "notes": list(step.notes),
    }
