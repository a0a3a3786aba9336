"""What a routine carries, by role: values in words that mean the same on every architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sights import code_in_words

from emu.contracts.effect import Carry, Effect, Entry, Place
from emu.contracts.judge import Scene, entry_of, judge
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World

_NEAR = 8  # words from an anchor that still count as being relative to it

ITSELF = "itself"
"""The place of what is named after where it is: a result in a register or on the stack, m, the link."""
SPOILED = "fault: a jump through a spoiled link"
Names = frozenset[str]
"""Everything that a value can be called. Two architectures agree where they have a name in common."""


@dataclass(frozen=True)
class Moment:
    """What was found at one stop: (role, place) -> names of the value."""

    stop: str
    carried: dict[tuple[str, str], Names]


class Words:
    """Names for the values of one entry state."""

    def __init__(self, world: World, entry: Entry) -> None:
        self._world, self._entry, self._word = world, entry, world.arch.word
        self._anchors = {
            "SP at entry": entry.sp,
            "caller's SP": entry.caller_sp,
            "SP of f's caller": entry.caller_sp + entry.pushed,
            "g0.sched.sp": entry.g0_sp,
            "buf.sp": world.buf["sp"],
        }
        if "moved" in entry.facts:
            self._anchors["caller's SP, moved"] = entry.caller_sp + entry.facts["moved"]
        functions = {name: world.function(name) for name in ("fn", "resumed", "caller", "other")}
        self._pointers = {
            **{struct.label: struct.address for struct in (*world.gs, world.m, world.buf)},
            **{f"func value of {name}": pointer for name, pointer in functions.items()},
        }
        self._stood: dict[int, set[str]] = {}
        for name, value in self._at_entry():
            self._stood.setdefault(value, set()).add(name)

    def _at_entry(self) -> Iterator[tuple[str, int]]:
        """What stood where at entry; poison shows where a value came from."""
        world, entry, arch = self._world, self._entry, self._world.arch
        for struct in (*world.gs, world.m, world.buf):
            for field, offset in world.layout.offsets.items():
                kind, name = field.split(".", 1)
                if kind == struct.kind and offset + self._word <= world.layout.sizes[kind]:
                    yield f"{struct.label}.{name} at entry", entry.word(struct.address + offset)
        hands = entry.habits.growth.hands.get(arch.name, {})
        for role, register in [*arch.roles.items(), *((f"f's {what}", r) for what, r in hands.items())]:
            if role == "flags":
                continue
            yield f"{role} at entry", entry.registers[register]
            yield f"poison of {role}", world.process.register_poison(register)

    def place(self, role: str, place: Place) -> str:
        """The place's name; those that only a convention tells apart have one for both conventions."""
        if place == self._entry.g_place:
            return "running g"
        return ITSELF if place.name in (role, f"result {role}") else place.name

    def names(self, value: int) -> Names:
        """All names of a value."""
        arch = self._world.arch
        found = {str(arch.signed(value))} if value <= arch.mask and abs(arch.signed(value)) <= 4096 else set()
        found |= {name for name, pointer in self._pointers.items() if pointer == value}
        found |= {f"&{self._world.describe(value)}"} if self._inside(value) else set()
        found |= {name for name in [code_in_words(self._world, value)] if name}
        found |= self._stood.get(value, set()) | set(self._near(value)) | set(self._shape(value))
        return frozenset(found or {hex(value)})

    def _inside(self, value: int) -> bool:
        world = self._world
        return any(s.address < value < s.address + world.layout.sizes[s.kind] for s in (*world.gs, world.m, world.buf))

    def _near(self, value: int) -> Iterator[str]:
        """Distances in words from where a stack was; a call may push a word or none."""
        for call, pushed in (("", 0), (", after a call", self._entry.pushed)):
            for name, anchor in self._anchors.items():
                words, rest = divmod(value + pushed - anchor, self._word)
                if rest == 0 and abs(words) <= _NEAR:
                    yield f"{name} {words:+}{call}" if words else f"{name}{call}"

    def _shape(self, value: int) -> Iterator[str]:
        data = self._world.arch.pack(value)
        if len(set(data)) == 1 and value <= self._world.arch.mask:
            yield f"every byte {data[0]:#x}"
        if value >> 8 * self._word - 1 == 1:
            yield f"top bit and {value & ~(1 << 8 * self._word - 1):#x}"


def seen(world: World, routine: str, scene: Scene) -> list[Moment]:
    """Run a scene; at each stop, what is found where the contract looks."""
    found: list[Moment] = []

    def watch(w: World) -> Callable[[Stop, str], None]:
        entry = entry_of(w, scene)
        effect, words = ROUTINES[routine].contract(entry), Words(w, entry)
        return lambda stop, name: found.append(Moment(_stop(w, stop, name), _carried(w, words, effect, len(found))))

    judge(world, scene, ROUTINES[routine].contract, watch)
    return found


def _stop(world: World, stop: Stop, name: str) -> str:
    link = world.arch.roles.get("link")
    return SPOILED if link and stop.address == world.process.register_poison(link) else name


def _carried(world: World, words: Words, effect: Effect, number: int) -> dict[tuple[str, str], Names]:
    carries = effect.moments[number].carries
    return {(item.role, words.place(item.role, item.place)): _found(world, words, item) for item in carries}


def _found(world: World, words: Words, item: Carry) -> Names:
    place, machine = item.place, world.process.machine
    if place.address is not None:
        value = int.from_bytes(machine.read(place.address, place.size), "little")
    else:
        registers = machine.registers()
        name = place.register or ""
        value = registers[name] if name in registers else machine.vector(name)
    if item.mask is not None:
        return frozenset({"set" if value & item.mask else "clear"})
    return frozenset({"within its range"}) if item.low is not None else words.names(value)
