"""G, M and stacks of one thread, laid out in a process as an era wants them."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from arch.habits import habits
from emu.naming import Names
from emu.process import Process, Region
from emu.runtime.struct import Struct
from emu.target import OUTSIDE_GATES, Target

Kind = Literal["goroutine", "g0", "gsignal"]
_GAP = 64  # poisoned bytes between two structs
CGO_OFFSET = 8  # the thread's TLS block has room for g there under cgo, as Go's linker lays it out on arm
LONE_BIT = 1 << 29  # which no pointer and no poison has: a test that mixes it with another word sees 0
STACK = 8192  # bytes of every stack that a world starts with


class World:
    """One thread (m) with g0, gsignal, a running goroutine ``g`` and a second one, ``other``."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.arch, self.era, self.program = target.arch, target.era, target.program
        self.habits = habits(self.era.name, target.go)
        self.layout = self.era.layout(self.arch)
        self.process = Process(self.arch, self.program)
        self._heap = self.process.add_region("heap", 0x2000)
        self._top = 0
        self.m = self.new("m", "m")
        self.g = self.new("g", "g")
        self.other = self.new("g", "other")
        self.g0 = self.new("g", "g0")
        self.gsignal = self.new("g", "gsignal")
        self.buf = self.new("gobuf", "buf")
        self.tls_words = self.alloc(8 * self.arch.word)
        self.stacks: dict[str, Region] = {
            g.label: self.process.add_region(f"{g.label} stack", STACK) for g in self.gs
        }
        self._functions = {name: self.alloc(self.arch.word) for name in OUTSIDE_GATES}
        self._set_up()
        self.process.keep()

    @property
    def gs(self) -> tuple[Struct, ...]:
        return (self.g, self.other, self.g0, self.gsignal)

    def alloc(self, size: int) -> int:
        """``size`` bytes of the heap region, poisoned; a gap of poison follows."""
        address = self._heap.address + self._top
        self._top += -(-size // 16) * 16 + _GAP
        if self._top > self._heap.size:
            raise MemoryError("the world's heap region is full")
        return address

    def new(self, kind: str, label: str) -> Struct:
        """A poisoned struct on the heap."""
        return Struct(self.process, self.layout, kind, self.alloc(self.layout.sizes[kind]), label)

    def reset(self) -> None:
        """Back to the start: the goroutine ``g`` runs, in the middle of its stack."""
        self.process.reset()

    def _set_up(self) -> None:
        self.process.reset()
        for g in self.gs:
            self._set_stack(g)
            g["m"] = self.m.address
        for name, pointer in self._functions.items():
            self.process.set_word(pointer, self.program.gates[name])
        self.m["g0"] = self.g0.address
        self.m["gsignal"] = self.gsignal.address
        self.m["curg"] = self.g.address
        self.g0["sched.sp"] = self.stacks["g0"].end - 16 * self.arch.word
        self.process.machine.set_tls_base(self.tls_base)
        if self.arch.tls.self_pointer:
            self.process.set_word(self.tls_base, self.tls_base)
        if self.arch.internal:
            self.process.machine.set_vector(self.arch.internal.zero, 0)
        if "tls_g" in self.target.data:  # a constant of the linker, there without cgo too
            self.process.set_word(self.target.data["tls_g"], CGO_OFFSET)
        self.process.set_role("flags", self.arch.flags_fixed)
        self.run_on(self.g)

    def _set_stack(self, g: Struct) -> None:
        """Bounds and guards of a g for its stack, as its era keeps them."""
        stack = self.stacks[g.label]
        guard = stack.address + self.era.guards.guard
        if g.has("stack.lo"):
            g["stack.lo"], g["stack.hi"] = stack.address, stack.end
        else:
            g["stackbase"] = stack.end - self.layout.sizes["stktop"]
            self.process.set_word(g["stackbase"] + self.layout["stktop.stackbase"], 0)
        for field in self.layout.guards:
            g[field.removeprefix("g.")] = guard
        if self.era.guards.guard1 and g in (self.g, self.other):
            g["stackguard1"] = self.era.guards.guard1

    # where the thread keeps g and m

    @property
    def tls_base(self) -> int:
        """What the TLS segment points at: the end of the thread's words."""
        return self.tls_words + len(self.era.tls_slots) * self.arch.word

    def run_on(self, g: Struct) -> None:
        """Make ``g`` the running one everywhere the thread says so, SP in the middle of its stack."""
        stack = self.stacks[g.label]
        self.set_g(g.address)
        self.process.set_role("sp", stack.end - stack.size // 2)

    def set_g(self, address: int) -> None:
        """Point every place that names the running g (and m) at it."""
        tls = self.arch.tls
        if tls.segment is None:
            assert tls.g_register is not None
            self.process.set_registers({tls.g_register: address})
            if "m" in self.era.tls_slots and tls.m_register:
                self.process.set_registers({tls.m_register: self.m.address})
        else:
            self.process.set_word(self.slot("g"), address)
            if "m" in self.era.tls_slots:
                self.process.set_word(self.slot("m"), self.m.address)
        if self.arch.internal and self.era.internal.get(self.arch.name):
            self.process.set_registers({self.arch.internal.g: address})

    def slot(self, name: str) -> int:
        """Address of the TLS word for ``g`` or ``m``."""
        return self.tls_words + self.era.tls_slots.index(name) * self.arch.word

    # functions that stand for the outside

    def code(self, name: str) -> int:
        """The address of an outside function (a gate)."""
        return self.program.gates[name]

    def function(self, name: str) -> int:
        """A func value of an outside function: the address of a word that holds its code address."""
        return self._functions[name]

    # calls

    def enter(self, routine: str, *arguments: int) -> None:
        """Stand at the entry of ``routine`` (or any symbol), called from ``caller``, arguments by its ABI."""
        symbol = self.target.routines.get(routine) or self.program.symbol(routine)
        arch, process = self.arch, self.process
        sp = process.role("sp")
        if arch.call.return_on_stack:
            process.set_word(sp, self.code("caller"))
        else:
            process.set_role("link", self.code("caller"))
        if arch.internal and routine in self.era.internal.get(arch.name, ()):
            process.set_registers(dict(zip(arch.internal.arguments, arguments, strict=False)))
        else:
            for index, argument in enumerate(arguments):
                process.set_word(sp + arch.call.first_argument + index * arch.word, argument)
        process.set_role("pc", symbol.address)

    # cgo, on arches where g is a register: a byte says that it is on, a TLS word then repeats g

    @property
    def cgo_mirror(self) -> int:
        """Address of the thread's word that repeats g under cgo."""
        return self.tls_words + CGO_OFFSET

    def set_cgo(self) -> None:
        """Say that the program uses cgo; the TLS register's low bits are not part of the address."""
        self.process.write(self.target.data["iscgo"], b"\1")
        self.process.machine.set_tls_base(self.tls_words | 3)

    @property
    def structs(self) -> tuple[Struct, ...]:
        """All that has a name of its own on the heap."""
        return (*self.gs, self.m, self.buf)

    @cached_property
    def named_words(self) -> dict[int, str]:
        """Single words with a name: the program's variables, and the thread's slots where a segment leads to them."""
        data = {address: name for name, address in self.target.data.items()}
        slots = {self.slot(name): f"TLS.{name}" for name in self.era.tls_slots} if self.arch.tls.segment else {}
        return {**data, **slots}

    @cached_property
    def func_values(self) -> dict[int, str]:
        """Pointers to words that hold the address of an outside function."""
        return {pointer: f"func value {name}" for name, pointer in self._functions.items()}

    @cached_property
    def _names(self) -> Names:
        regions = self.process.regions
        return Names(self.layout, self.structs, regions, self.program, self.named_words, self.func_values)

    def describe(self, address: int) -> str:
        """An address in words: a symbol, a field, or a place in a region."""
        return self._names.describe(address)

    def pointee(self, value: int) -> str:
        """What a word points to, in words: a whole struct by its name, a func value, else as `describe`."""
        return self._names.pointee(value)
