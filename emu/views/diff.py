"""Two traces side by side: what each run carries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from emu.trace.align import MOVED, ONLY_A, ONLY_B, OTHER, SAME, Crossing, Pair
from emu.trace.effects import Effect
from emu.trace.model import Header, Recording
from emu.views.console import console, plain_table
from emu.views.trace.text import ending

FEW = 8  # crossings; where there are more, one without a difference is a line, and runs of such lines are one
STYLES = {SAME: "dim", OTHER: "bold yellow", ONLY_A: "bold red", ONLY_B: "bold green", MOVED: "bold yellow"}
Runs = tuple[Recording, Recording]
Files = tuple[str, str]


def print_meaning(runs: Runs, files: Files, crossings: Sequence[Crossing], colour: bool | None) -> None:
    """The crossings in two columns, then what one run carries and the other does not."""
    out = console(colour)
    print_runs(out, runs, files)
    for differs, group in groupby(crossings, lambda crossing: crossing.differs or len(crossings) <= FEW):
        if differs:
            for crossing in group:
                out.print()
                _print_crossing(out, crossing)
        else:
            out.print()
            out.print(_alike(list(group)), style="dim", markup=False)
    pairs = [pair for crossing in crossings for pair in crossing.pairs]
    for mark, title in (
        (ONLY_A, "A carries, B does not:"), (ONLY_B, "B carries, A does not:"),
        (OTHER, "A and B carry something else:"), (MOVED, "A and B carry it at another time:"),
    ):
        _print_list(out, title, [pair for pair in pairs if pair.mark == mark])
    out.print()
    out.print(_verdict(pairs), style="bold", markup=False)


def print_runs(out: Console, runs: Runs, files: Files) -> None:
    """Whose runs they are, and how they ended."""
    for letter, recording, file in zip("AB", runs, files, strict=True):
        ends = "".join(f": {event.data['end']}" for event in ending(recording))
        out.print(f"{letter}  {file}: {told(recording.header)}{ends}", style="bold", markup=False, soft_wrap=True)


def told(header: Header) -> str:
    """Whose run it is."""
    return f"{header.entered}; {header.arch_name}, {header.name}, {header.go}"


def _print_crossing(out: Console, crossing: Crossing) -> None:
    titles = [passage.title if passage else "" for passage in (crossing.a, crossing.b)]
    table = plain_table()
    for title in ("", "A", titles[0], "", "", "B", titles[1]):
        table.add_column(Text(title), overflow="fold", header_style="bold")
    for pair in crossing.pairs:
        style = STYLES[pair.mark]
        shown = "" if pair.mark == SAME else pair.mark
        table.add_row(*(Text(cell, style) for cell in (*_cells(pair.a), shown, *_cells(pair.b))))
    out.print(table)


def _alike(crossings: Sequence[Crossing]) -> str:
    """Crossings without a difference in a line."""
    routines = Counter(crossing.a.span.routine for crossing in crossings if crossing.a)
    names = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in routines.items())
    return f"{len(crossings)} crossings without a difference: {names}"


def _cells(effect: Effect | None) -> tuple[str, str, str]:
    return ("", "", "") if effect is None else (f"{effect.step:>5}", effect.where, effect.text)


def _print_list(out: Console, title: str, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    out.print()
    out.print(title, style="bold", markup=False)
    found: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        text, place = _told(pair)
        found.setdefault((text, pair.note), []).append(place)
    for (text, note), places in found.items():
        more = f", and {len(places) - 1} times more" if len(places) > 1 else ""
        line = f"  {text}  ({places[0]}{more}){f'; {note}' if note else ''}"
        out.print(line, style=STYLES[pairs[0].mark], markup=False, soft_wrap=True)


def _told(pair: Pair) -> tuple[str, str]:
    """One difference in a line, and where it is."""
    if pair.a is not None and pair.b is not None:
        text = f"{pair.a.kind}: {pair.a.place.text} ← {pair.a.source.text}"
        text += f" in A, ← {pair.b.source.text} in B" if pair.mark == OTHER else ""
        at = f"A step {pair.a.step}, {pair.a.where}; B step {pair.b.step}, {pair.b.where}"
    else:
        effect = pair.a or pair.b
        assert effect is not None
        text, at = effect.text, f"step {effect.step}, {effect.where}"
    return text, at


def _verdict(pairs: Sequence[Pair]) -> str:
    count = sum(pair.mark != SAME for pair in pairs)
    same = f"{len(pairs) - count} carried alike"
    if not count:
        return f"no difference in meaning: {same}"
    without = sum(bool(pair.lacks) for pair in pairs)
    return f"{same}, {count} not" + (f"; {without} of them the other has no place for" if without else "")


def meaning_lines(runs: Runs, files: Files, crossings: Iterable[Crossing]) -> Iterator[str]:
    """JSON lines: a ``run`` for A and B, an ``effect`` for each line of the columns, a ``summary``."""
    yield from run_lines(runs, files)
    marks: list[str] = []
    for number, crossing in enumerate(crossings):
        for pair in crossing.pairs:
            marks.append(pair.mark)
            yield json_line({
                "kind": "effect", "crossing": number, "mark": pair.mark, "a": _effect(pair.a), "b": _effect(pair.b),
                "note": pair.note, "lacks": pair.lacks,
            })
    yield json_line({"kind": "summary", "same": marks.count(SAME), "different": len(marks) - marks.count(SAME)})


def run_lines(runs: Runs, files: Files) -> Iterator[str]:
    """The same as JSON lines."""
    for letter, recording, file in zip("AB", runs, files, strict=True):
        header = recording.header
        yield json_line({
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


def json_line(record: object) -> str:
    """An object as a line."""
    return json.dumps(record, ensure_ascii=False)
