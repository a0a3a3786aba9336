"""The account of stack pointer and guard: for each step, which stack SP is in, whose it should be, the guard's state.

Made from recorded rows and writes alone, so that any trace can be judged after its run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emu.process import Region
from emu.recorder import Access
from emu.runtime.world import World


@dataclass(frozen=True)
class Entry:
    """One step's account. ``stack``: name of the stack SP is in ('' if in none), ``depth``/``size`` in bytes.

    ``g``: name of the running g ('?' if it is none that is known). ``guard``: ``normal``, the name of a special
    value (``StackPreempt``), or ``other``. ``switching``: g and SP disagree, as they must for a few
    instructions of every switch.
    """

    stack: str
    depth: int
    size: int
    g: str
    guard: str
    low: bool

    @property
    def switching(self) -> bool:
        return self.stack != f"{self.g} stack"


class Ledger:
    """Follows g, SP and the guard words through a recorded run of one world.

    Create it *before* the run: the words it follows are read then, and later known from the writes.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._names = {g.address: g.label for g in world.gs}
        self._stacks: Sequence[Region] = [r for r in world.process.regions if r.name.endswith("stack")]
        self._special = {
            value & world.arch.mask: name for name, value in world.era.guards.special.items()
        }
        tls = world.arch.tls
        self._g_register = tls.g_register
        self._g_word = None if tls.g_register else world.slot("g")
        guard = world.layout.guard.removeprefix("g.")
        self._guards = {g.address: g.at(guard) for g in world.gs}
        self._normal = {g.address: g[guard] for g in world.gs}
        followed = [*self._guards.values(), *([self._g_word] if self._g_word is not None else [])]
        self._words: dict[int, int] = {address: world.process.word(address) for address in followed}

    def apply(self, write: Access) -> None:
        """Take a write into account (whole words; narrower ones change their bytes)."""
        word = self._world.arch.word
        for address in self._words:
            if write.address < address + word and address < write.address + write.size:
                shift = 8 * (write.address - address)
                mask = ((1 << 8 * write.size) - 1) << shift if shift >= 0 else ((1 << 8 * write.size) - 1) >> -shift
                value = write.value << shift if shift >= 0 else write.value >> -shift
                old = self._words[address]
                self._words[address] = (old & ~mask | value & mask) & self._world.arch.mask

    def entry(self, registers: Mapping[str, int]) -> Entry:
        """The account for a row of registers."""
        sp = registers[self._world.arch.roles["sp"]]
        g = registers[self._g_register] if self._g_register else self._words[self._g_word or 0]
        # SP at the very top of a stack still belongs to it: nothing is pushed there yet
        stack = next((s for s in self._stacks if s.address <= sp <= s.end), None)
        guard = self._words.get(self._guards.get(g, 0), 0)
        limit = self._normal.get(g, 0)
        return Entry(
            stack=stack.name if stack else "",
            depth=stack.end - sp if stack else 0,
            size=stack.size if stack else 0,
            g=self._names.get(g, "?"),
            guard=self._guard_state(g, guard),
            low=bool(stack and stack.name == f"{self._names.get(g)} stack" and sp < limit),
        )

    def _guard_state(self, g: int, guard: int) -> str:
        if g not in self._guards:
            return "other"
        if guard in self._special:
            return self._special[guard]
        return "normal" if guard == self._normal[g] else "other"
