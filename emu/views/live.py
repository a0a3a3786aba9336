"""What `run` says on standard error: broken contracts, how the run ended, the summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from emu.live.death import Killed, killed
from emu.live.loop import Ending
from emu.live.run import LiveRun
from emu.live.stackwalk import Frame
from emu.live.watching import Broken, Crossed
from emu.views.colour import wanted

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from emu.live.storm import Storm

_DAY = 24 * 3600 * 10**9  # nanoseconds
_THREADS = 10  # that are told at the end
_LAST = 8  # crossings that are told before a broken one
_DEEPEST = 10  # goroutines in the summary
_QUIET = "SIGPIPE"  # as shells do: who reads has seen enough


class Report:
    """Text for people, or JSON lines, which `live.md` beside this file describes."""

    def __init__(self, as_json: bool, colour: bool | None) -> None:
        self._json, self._colour = as_json, colour

    def _say(self, text: str, **style: Any) -> None:
        click.secho(text, err=True, color=wanted(self._colour, sys.stderr), **style)

    def _line(self, kind: str, **values: Any) -> None:
        print(json.dumps({"kind": kind, **values}, ensure_ascii=False), file=sys.stderr)

    def refused(self, why: str) -> None:
        """The program cannot be run."""
        if self._json:
            self._line("refused", why=why)
        else:
            print(f"stackcarry: {why}", file=sys.stderr)

    def unchecked(self, why: str) -> None:
        """The program runs, but nobody knows where its runtime keeps what, or what its routines carry."""
        if self._json:
            self._line("unchecked", why=why)
        else:
            print(f"stackcarry: runs unchecked: {why}", file=sys.stderr)

    def broken(self, live: LiveRun, found: Broken) -> None:
        """A contract broke; told while the guest stands there."""
        guest = live.current
        frames, last = list(guest.frames()), guest.crossed(_LAST)
        if self._json:
            self._line(
                "broken", routine=found.routine, check=found.what, moment=found.moment, expected=found.expected,
                found=found.found, goroutine=found.goroutine, thread=found.thread, blocks=live.blocks,
                program=str(guest.binary.path),
                stack=[frame._asdict() | {"pc": hex(frame.pc), "sp": hex(frame.sp)} for frame in frames],
                last=[row._asdict() | {"sp_from": hex(row.sp_from), "sp": hex(row.sp)} for row in last],
            )
            return
        self._say(f"stackcarry: {found.routine} broke its contract: {found.what}", bold=True, fg="red")
        who = f"{found.who} of {guest.name}, {guest.binary.path}" if guest.name else found.who
        self._say(f"  expected {found.expected}, found {found.found}; {who}, after {live.blocks} blocks")
        for line in (*_stack(frames), *_crossings(last)):
            self._say(line)

    def ending(self, live: LiveRun, ending: Ending) -> None:
        """How it ended, where it did not exit."""
        told = {
            "budget": "the budget is spent; --steps gives more",
            "time": f"{live.kernel.clock.now / _DAY:g} days of virtual time have passed; --time gives more",
            "deadlock": "deadlock: every thread waits, and nothing will come",
        }.get(ending.kind)
        death = killed(live) if ending.kind == "ended" else None
        if death is not None:
            self._killed(live, death)
        if told is None:
            return
        if self._json:
            self._line("ending", outcome=ending.kind, waiting=list(ending.waiting), blocks=live.blocks)
            return
        self._say(f"stackcarry: {told}, after {live.blocks} blocks", bold=True, fg="red")
        for who in ending.waiting[:_THREADS]:
            self._say(f"  {who}")
        if len(ending.waiting) > _THREADS:
            self._say(f"  and {len(ending.waiting) - _THREADS} threads more")

    def _killed(self, live: LiveRun, death: Killed) -> None:
        if self._json:
            pc, address = (None if word is None else hex(word) for word in (death.pc, death.address))
            self._line("ending", outcome="killed", **{**death._asdict(), "pc": pc, "address": address},
                       blocks=live.blocks)
        elif death.signal != _QUIET:
            place = "" if death.pc is None else f" at {death.at} (PC {death.pc:#x})"
            touched = "" if death.address is None else f", touching {death.address:#x}"
            why = f"; {death.why}" if death.why else ""
            self._say(f"stackcarry: killed by {death.signal}: thread {death.thread}{place}{touched}{why}",
                      bold=True, fg="red")

    def storm(self, campaign: Storm, executor: Executor) -> bool:
        """Run a storm, and say of each run that differed from the undisturbed one how. Whether all is well."""
        from emu.progress import Bar

        calm = campaign.calm
        if calm.kind != "ended" or calm.broken:
            why = calm.broken[0] if calm.broken else calm.kind
            self.refused(f"without a signal already the program does not end as it should: {why}")
            return False
        with Bar(len(campaign.jobs), "runs") as bar:
            differences = []
            for difference in campaign.run(executor):
                bar.step()
                if difference is not None:
                    differences.append(difference)
        for found in differences:
            if self._json:
                self._line("difference", **found._asdict())
            else:
                self._say(f"stackcarry: SIGURG at {found.place}: {found.what} differs", bold=True, fg="red")
                self._say(f"  without it {found.expected}, with it {found.found}")
        counts = {"runs": len(campaign.jobs), "different": len(differences), "unreached": campaign.unreached,
                  "unheard": campaign.unheard}
        if self._json:
            self._line("storm", program=str(campaign.binary.path), **counts)
        else:
            self._say(
                f"storm       SIGURG at {counts['runs']} instructions, {counts['different']} runs differ; not tried: "
                f"{counts['unreached']} instructions that never ran, {counts['unheard']} that ran only while the "
                "program had no handler for SIGURG"
            )
        return not differences

    def summary(self, live: LiveRun, ending: Ending | None) -> None:
        """What was seen."""
        seen = live.summary()
        if self._json:
            outcome = ending.kind if ending else "interrupted"
            status = ending.status if ending and ending.kind == "ended" else None
            self._line("summary", outcome=outcome, status=status, **seen)
            return
        for line in _summary(seen):
            self._say(line)


def _stack(frames: Iterable[Frame]) -> Iterator[str]:
    yield "  call stack:"
    for frame in frames:
        yield f"    {frame.function}  {frame.file}:{frame.line}  SP {frame.sp:#x}"


def _crossings(last: Iterable[Crossed]) -> Iterator[str]:
    yield "  the last crossings, the newest first:"
    for crossing in last:
        moved = f"SP {crossing.sp_from:#x} → {crossing.sp:#x}"
        yield f"    {crossing.routine:<17} {crossing.who:<28} {moved}  {crossing.at}"


def _summary(seen: dict[str, Any]) -> Iterator[str]:
    yield f"program     {seen['program']}, {seen['go']} for {seen['arch']}"
    yield f"ran         {seen['blocks']} blocks, {seen['virtual_ns'] / 1e9:.6f} s of virtual time"
    yield "crossings   " + (_counts(seen["crossings"]) or "none were watched")
    never = [name for name, count in seen["crossings"].items() if not count]
    if never:
        yield "never seen  " + ", ".join(never)
    yield f"stacks      {seen['growths']} grown, {seen['shrinks']} shrunk"
    if seen["hook_preemptions"] is not None:
        yield f"hook        {seen['hook_preemptions']} preemptions asked for, {seen['hook_lost']} lost"
    yield "calls       " + _counts(seen["calls"])
    if seen["unknown"]:
        yield "unknown     " + _counts(seen["unknown"])
    yield f"memory      {seen['memory'] >> 10} KiB of the guest's at most"
    deepest = sorted(seen["distance"].items(), key=lambda item: item[1])[:_DEEPEST]
    for who, distance in deepest:
        told = f"SP came within {distance} bytes of" if distance >= 0 else f"SP went {-distance} bytes below"
        yield f"distance    {who}: {told} its guard" + (", as unchecked code may" if distance < 0 else "")
    yield f"digest      {seen['digest']}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)
