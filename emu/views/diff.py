"""Two traces side by side: what each run carries, or the first row that differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from emu.trace.align import MOVED, ONLY_A, ONLY_B, OTHER, SAME, Crossing, Pair
from emu.trace.meaning import Effect
from emu.trace.model import Header, Recording
from emu.trace.samerun import Difference
from emu.trace.steps import Step, steps
from emu.views.console import console, plain_table
from emu.views.names import with_target
from emu.views.trace.text import ending

CONTEXT = 3  # steps that are shown before the first row that differs, and from it on
_STYLES = {SAME: "dim", OTHER: "bold yellow", ONLY_A: "bold red", ONLY_B: "bold green", MOVED: "bold yellow"}
_SHOWN = {SAME: ""}
Runs = tuple[Recording, Recording]
Files = tuple[str, str]


def print_meaning(runs: Runs, files: Files, crossings: Sequence[Crossing], colour: bool | None) -> None:
    """The crossings in two columns, then what one run carries and the other does not."""
    out = console(colour)
    _print_runs(out, runs, files)
    for crossing in crossings:
        out.print()
        _print_crossing(out, crossing)
    pairs = [pair for crossing in crossings for pair in crossing.pairs]
    for mark, title in (
        (ONLY_A, "A carries, B does not:"), (ONLY_B, "B carries, A does not:"),
        (OTHER, "A and B carry something else:"), (MOVED, "A and B carry it at another time:"),
    ):
        _print_list(out, title, [pair for pair in pairs if pair.mark == mark])
    out.print()
    out.print(_verdict(pairs), style="bold", markup=False)


def _print_runs(out: Console, runs: Runs, files: Files) -> None:
    for letter, recording, file in zip("AB", runs, files, strict=True):
        ends = "".join(f": {event.data['end']}" for event in ending(recording))
        out.print(f"{letter}  {file}: {told(recording.header)}{ends}", style="bold", markup=False, soft_wrap=True)


def told(header: Header) -> str:
    """Whose run it is."""
    return f"{header.entered}; {header.arch_name}, {header.name}, {header.go}"


def _print_crossing(out: Console, crossing: Crossing) -> None:
    titles = [passage.title if passage else "" for passage in (crossing.a, crossing.b)]
    table = plain_table()
    for title in (f"A  {titles[0]}".rstrip(), "", f"B  {titles[1]}".rstrip()):
        table.add_column(Text(title), overflow="fold", header_style="bold")
    for pair in crossing.pairs:
        style = _STYLES[pair.mark]
        shown = "" if pair.mark == SAME else pair.mark
        table.add_row(Text(_line(pair.a), style), Text(shown, style), Text(_line(pair.b), style))
    out.print(table)


def _line(effect: Effect | None) -> str:
    return "" if effect is None else f"{effect.step:>5} {effect.where:<18} {effect.text}"


def _print_list(out: Console, title: str, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    out.print()
    out.print(title, style="bold", markup=False)
    for pair in pairs:
        out.print(f"  {_told(pair)}", style=_STYLES[pair.mark], markup=False, soft_wrap=True)


def _told(pair: Pair) -> str:
    """One difference in a line."""
    if pair.a is not None and pair.b is not None:
        text = f"{pair.a.kind}: {pair.a.place.text} ← {pair.a.source.text}"
        text += f" in A, ← {pair.b.source.text} in B" if pair.mark == OTHER else ""
        at = f"A step {pair.a.step}, {pair.a.where}; B step {pair.b.step}, {pair.b.where}"
    else:
        effect = pair.a or pair.b
        assert effect is not None
        text, at = effect.text, f"step {effect.step}, {effect.where}"
    return f"{text}  ({at}){f'; {pair.note}' if pair.note else ''}"


def _verdict(pairs: Sequence[Pair]) -> str:
    count = sum(pair.mark != SAME for pair in pairs)
    same = f"{len(pairs) - count} carried alike"
    if not count:
        return f"no difference in meaning: {same}"
    without = sum(bool(pair.lacks) for pair in pairs)
    return f"{same}, {count} not" + (f"; {without} of them the other has no place for" if without else "")


def meaning_lines(runs: Runs, files: Files, crossings: Iterable[Crossing]) -> Iterator[str]:
    """JSON lines: a ``run`` for A and B, an ``effect`` for each line of the columns, a ``summary``."""
    yield from _run_lines(runs, files)
    marks: list[str] = []
    for number, crossing in enumerate(crossings):
        for pair in crossing.pairs:
            marks.append(pair.mark)
            yield _json({
                "kind": "effect", "crossing": number, "mark": pair.mark, "a": _effect(pair.a), "b": _effect(pair.b),
                "note": pair.note, "lacks": pair.lacks,
            })
    yield _json({"kind": "summary", "same": marks.count(SAME), "different": len(marks) - marks.count(SAME)})


def _run_lines(runs: Runs, files: Files) -> Iterator[str]:
    for letter, recording, file in zip("AB", runs, files, strict=True):
        header = recording.header
        yield _json({
            "kind": "run", "run": letter, "file": file, "entered": header.entered, "arch": header.arch_name,
            "program": header.name, "go": header.go, "steps": recording.steps,
        })


def _effect(effect: Effect | None) -> dict[str, object] | None:
    if effect is None:
        return None
    return {
        "does": effect.kind, "place": effect.place.text, "source": effect.source.text, "step": effect.step,
        "at": effect.where,
    }


def _json(record: object) -> str:
    return json.dumps(record, ensure_ascii=False)


def print_rows(runs: Runs, files: Files, found: Difference | None, colour: bool | None) -> None:
    """The first difference of two runs of a program, and the steps around it."""
    out = console(colour)
    _print_runs(out, runs, files)
    if found is None:
        out.print(f"no difference in {runs[0].steps} steps", style="bold")
        return
    out.print()
    table = plain_table()
    for title in ("A", "", "B"):
        table.add_column(title, overflow="fold", header_style="bold")
    columns = [dict(_around(recording, found.step)) for recording in runs]
    for number in sorted({*columns[0], *columns[1]}):
        mark = "" if number < found.step else OTHER
        left, right = (column.get(number, "") for column in columns)
        style = _STYLES[SAME if not mark else OTHER]
        table.add_row(Text(left, style), Text(mark, style), Text(right, style))
    out.print(table)
    out.print()
    for line in _differences(runs, found):
        out.print(line, markup=False, soft_wrap=True)


def _around(recording: Recording, step: int) -> Iterator[tuple[int, str]]:
    for found in steps(recording, max(0, step - CONTEXT), min(step + CONTEXT, recording.steps)):
        yield found.number, _step(recording.header, found)


def _step(header: Header, step: Step) -> str:
    changed = " ".join(f"{name}*={value:#x}" for name, value in step.changed.items())
    return f"{step.number:>5} {step.where}  {with_target(header.program, step.text)}  {changed}".rstrip()


def _differences(runs: Runs, found: Difference) -> Iterator[str]:
    if found.ended:
        yield f"{found.ended} ends before step {found.step}"
    else:
        yield f"different before step {found.step}:"
    if found.threads[0] != found.threads[1]:
        yield f"  thread: A {found.threads[0]}, B {found.threads[1]}"
    for name, (mine, its) in found.registers.items():
        yield f"  {name}: A {mine:#x}, B {its:#x}"
    for address, values in found.memory.items():
        mine_, its_ = ("?" if value is None else hex(value) for value in values)
        yield f"  [{runs[0].header.names.describe(address)}]: A {mine_}, B {its_}"


def row_lines(runs: Runs, files: Files, found: Difference | None) -> Iterator[str]:
    """JSON lines: a ``run`` for A and B, then a ``difference`` if there is one; words as hex strings."""
    yield from _run_lines(runs, files)
    if found is None:
        return
    names = runs[0].header.names
    yield _json({
        "kind": "difference", "step": found.step, "threads": found.threads, "ended": found.ended or None,
        "registers": {name: [hex(value) for value in values] for name, values in found.registers.items()},
        "memory": [
            {"address": hex(address), "at": names.describe(address),
             "values": [None if value is None else hex(value) for value in values]}
            for address, values in found.memory.items()
        ],
    })
