"""Looks at every growth of a stack and at the way back: bounds, guards, where the function goes on, what was moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from arch import stackcheck
from emu.flows.crossings import Crossings, Place
from emu.flows.tally import Tally
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.stacks import Stack
from emu.runtime.struct import Struct
from emu.session import Session

_BLOCK, _LINE = 8192, 256  # bytes that are compared at once


@dataclass(frozen=True)
class Split:
    """What stood when f's check called morestack: f's place at entry, what it was passed, and all of its stack."""

    function: str
    pc: int
    sp: int
    return_pc: int
    ctxt: int
    fp: int
    base: int
    guard: int
    used: bytes


@dataclass(frozen=True)
class Back:
    """What a return through lessstack must carry: the arguments and results as the callee left them, and its result."""

    words: bytes
    argp: int
    result: int


def differences(one: bytes, other: bytes, word: int) -> Iterator[int]:
    """Where two equally long runs of words differ; the blocks that are equal are not looked into."""
    for block in range(0, len(one), _BLOCK):
        if one[block : block + _BLOCK] != other[block : block + _BLOCK]:
            for line in range(block, min(block + _BLOCK, len(one)), _LINE):
                if one[line : line + _LINE] != other[line : line + _LINE]:
                    words = range(line, min(line + _LINE, len(one)), word)
                    yield from (at for at in words if one[at : at + word] != other[at : at + word])


class Growths(Crossings):
    """Crossings, with an account of every growth."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(tally)
        self._splits: dict[int, list[Split]] = {}
        self._back: Back | None = None
        self._seen = 0

    def begin(self, session: Session, routine: str) -> None:
        super().begin(session, routine)
        if routine.startswith("morestack"):
            self._splits.setdefault(session.current.g.address, []).append(self._split(session))

    def reached(self, session: Session, where: str) -> None:
        super().reached(session, where)
        if where == "oldstack":
            top = self._top(session, session.current)
            size = top["argsize"] & 0xFFFF_FFFF
            words = session.process.machine.read(top.address - size, size)
            self._back = Back(words, top["argp"], session.world.m["cret"])

    def _split(self, session: Session) -> Split:
        process, arch, g = session.process, session.arch, session.current.g
        at = process.role("sp")
        if arch.call.return_on_stack:
            pc, sp = process.word(at), at + arch.word
            return_pc = process.word(sp)
        else:
            hands = session.world.habits.growth.hands[arch.name]
            pc, sp, return_pc = process.role("link"), at, process.machine.registers()[hands["return"]]
        function = session.function_at(pc)
        stack = session.current.stack
        return Split(
            function, pc, sp, return_pc, process.role("ctxt") if session.guests.functions[function].ctxt else 0,
            self.frame_pointer(session), g["stackbase"] if g.has("stackbase") else 0,
            session.runtime.true_guard(session.current), process.machine.read(sp, stack.hi - sp),
        )

    # a goroutine goes on

    def arrived(self, session: Session) -> None:
        new, self._seen = session.events[self._seen:], len(session.events)
        for shrunk in new:
            if shrunk.kind == "shrink":
                self._shrunk(session, shrunk)
        event = new[-1] if new else None
        if event is None or not self._splits.get(event.goroutine.g.address):
            super().arrived(session)
            return
        splits = self._splits[event.goroutine.g.address]
        if event.kind == "link":
            self._linked(session, event, splits[-1])
        elif event.kind == "unlink":
            self._unlinked(session, event, splits.pop())
        elif event.kind == "copy":
            self._copied(session, event, splits.pop())
        elif event.kind == "spare" or event.goroutine.g.address not in self._left:
            self._stayed(session, splits.pop())
        else:
            super().arrived(session)
        self._bounds(session, event.goroutine)

    def _linked(self, session: Session, event: Event, split: Split) -> None:
        """f starts (or goes on) on the new segment as if lessstack had called it, with its arguments copied there."""
        process, call, step = session.process, session.arch.call, session.steps
        top = self._top(session, event.goroutine)
        args = session.guests.functions[split.function].args * session.arch.word
        room = session.arch.word  # a return PC, or the word for a link
        sp = top.address - args - room
        self.compare(session, "on a new segment", Place(self._resumed(session, split), sp, split.fp))
        self._return_pc(session, "on a new segment", session.entry("lessstack"))
        passed = split.used[call.first_argument:][:args]
        copied = process.machine.read(sp + call.first_argument, args)
        self.tally.add("on a new segment: arguments", copied == passed, passed.hex(), copied.hex(), step)
        if not call.return_on_stack:
            self.tally.equal("on a new segment: no link under the arguments", 0, process.word(sp), step)
        above = session.arch.word if call.return_on_stack else 0
        for field, value in (
            ("stackbase", split.base), ("stackguard", split.guard), ("argp", split.sp + call.first_argument),
            ("gobuf.sp", split.sp + above), ("gobuf.pc", split.return_pc), ("gobuf.g", event.goroutine.g.address),
        ):
            self.tally.equal(f"Stktop of a new segment: {field}", value, top[field], step)

    def _unlinked(self, session: Session, event: Event, split: Split) -> None:
        """f's caller goes on with f's results; the segment is gone, the older one's bounds are back."""
        process, step, back, g = session.process, session.steps, self._back, event.goroutine.g
        assert back is not None
        above = session.arch.word if session.arch.call.return_on_stack else 0
        place = Place(split.return_pc, split.sp + above, self.frame_pointer(session))
        self.compare(session, "back from a segment", place)
        self.tally.equal("back from a segment: result register", back.result, process.role("result"), step)
        words = process.machine.read(back.argp, len(back.words))
        self.tally.add("back from a segment: results", words == back.words, back.words.hex(), words.hex(), step)
        self.tally.equal("back from a segment: stackbase", split.base, g["stackbase"], step)
        self._unmapped(session, event.old)

    def _copied(self, session: Session, event: Event, split: Split) -> None:
        """f goes on as far below the top of the new stack as it was below that of the old one."""
        old, new = event.old, event.new
        assert old is not None
        assert new is not None
        delta = new.hi - old.hi

        def moved(value: int) -> int:
            return value + delta if value in old else value

        place = Place(self._resumed(session, split), split.sp + delta, moved(split.fp))
        self.compare(session, "on a copied stack", place)
        self._return_pc(session, "on a copied stack", split.return_pc)
        if session.guests.functions[split.function].ctxt:
            found = session.process.role("ctxt")
            self.tally.equal("on a copied stack: closure context", moved(split.ctxt), found, session.steps)
        self._contents(session, split, old, delta)
        self._chain(session)
        self._unmapped(session, old)

    def _shrunk(self, session: Session, event: Event) -> None:
        """A goroutine that waits was moved: its place, too."""
        old, new, address = event.old, event.new, event.goroutine.g.address
        assert old is not None
        assert new is not None
        self._left[address] = self._left[address].moved(old, new.hi - old.hi)
        self._unmapped(session, old)

    def _stayed(self, session: Session, split: Split) -> None:
        """f's check is made again on the same stack."""
        self.compare(session, "after a preemption", Place(self._resumed(session, split), split.sp, split.fp))
        self._return_pc(session, "after a preemption", split.return_pc)

    # what is looked at after each

    def _resumed(self, session: Session, split: Split) -> int:
        """Where the era makes a function go on when its stack has grown: at its start, or behind the call."""
        if stackcheck.style(session.era, session.arch).again == "start":
            return session.code(split.function)
        return split.pc

    def _return_pc(self, session: Session, what: str, expected: int) -> None:
        process = session.process
        found = process.word(process.role("sp")) if session.arch.call.return_on_stack else process.role("link")
        self.tally.equal(f"{what}: return PC", expected, found, session.steps)

    def _contents(self, session: Session, split: Split, old: Stack, delta: int) -> None:
        """Every word of the copy is as it was, or pointed into the old stack and points as far into the new one."""
        unpack, start = session.arch.unpack, split.sp + delta
        copy = session.process.machine.read(start, len(split.used))
        wrong = ""
        for at in differences(split.used, copy, session.arch.word):
            before, after = (unpack(data[at : at + session.arch.word]) for data in (split.used, copy))
            if not (before in old and after == before + delta):
                wrong = wrong or f"{before:#x} became {after:#x} at {session.world.describe(start + at)}"
        kept = "as before, but for pointers"
        self.tally.add("on a copied stack: contents", not wrong, kept, wrong or kept, session.steps)

    def _chain(self, session: Session) -> None:
        """The saved frame pointers lead upwards through the new stack, to 0."""
        if not session.guests.links:
            return
        stack, fp, last = session.current.stack, session.process.role("fp"), 0
        while fp in stack and fp > last:
            last, fp = fp, session.process.word(fp)
        self.tally.equal("on a copied stack: end of the chain of frame pointers", 0, fp, session.steps)

    def _bounds(self, session: Session, goroutine: Goroutine) -> None:
        """The bounds and every guard word of g are those of the stack it is on."""
        g, stack, step = goroutine.g, goroutine.stack, session.steps
        if g.has("stack.lo"):
            self.tally.equal("bounds: stack.lo", stack.lo, g["stack.lo"], step)
            self.tally.equal("bounds: stack.hi", stack.hi, g["stack.hi"], step)
        else:
            base = stack.hi - session.world.layout.sizes["stktop"]
            self.tally.equal("bounds: stackbase", base, g["stackbase"], step)
        guard, guard1 = stack.lo + session.era.guards.guard, session.era.guards.guard1 & session.arch.mask
        for field in session.world.layout.guards:
            name = field.removeprefix("g.")
            expected = guard1 if guard1 and name == "stackguard1" else guard
            self.tally.equal(f"guard: {name}", expected, g[name], step)
        sp = session.process.role("sp")
        self.tally.add(
            "SP is on the goroutine's stack", sp in stack, f"{stack.lo:#x} to {stack.hi:#x}", hex(sp), step,
        )

    def _unmapped(self, session: Session, old: Stack | None) -> None:
        gone = old is not None and session.process.region(old.lo) is None
        found = "unmapped" if gone else "mapped"
        self.tally.add("the stack that was left is unmapped", gone, "unmapped", found, session.steps)

    def _top(self, session: Session, goroutine: Goroutine) -> Struct:
        return Struct(session.process, session.world.layout, "stktop", goroutine.g["stackbase"], "stktop")
