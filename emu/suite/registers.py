"""What registers are filled with before a call, so that each value tells where it came from."""

from __future__ import annotations

from arch.model import Arch
from emu.process import Process


class Filling:
    """Values of the ``number``-th filling (from 1): another one for each register and each filling.

    ``names``: value -> what it is called in texts (``rbx.2``: what rbx held before the second call).
    """

    def __init__(self, arch: Arch, number: int) -> None:
        self._arch = arch
        skipped = {arch.roles[role] for role in ("sp", "pc", "flags")}
        # High enough to be no address of anything, a multiple of the word, and a pointer to nothing in between.
        high = 0xD000_0000 if arch.word == 4 else 0xD0D0_0000_D000_0000
        names = [*(name for name in arch.registers if name not in skipped), *_wide(arch)]
        self.values = {
            name: high | (number & 0xFFF) << 16 | (index + 1) << 8 for index, name in enumerate(names)
        }
        self.names = {value: f"{name}.{number}" for name, value in self.values.items()}
        for name in _wide(arch):  # both words, each with a value of its own
            low = self.values[name]
            self.values[name] = (low + 4) << 32 | low
            self.names |= {low + 4: f"{name}.{number} high", self.values[name]: f"{name}.{number}"}
        self._words = {name: _control(name, number) for name in arch.c.kept_floats if name not in _wide(arch)}

    def put(self, process: Process) -> None:
        """Fill the registers; condition flags are clear."""
        wide = set(_wide(self._arch))
        process.set_registers({name: value for name, value in self.values.items() if name not in wide})
        process.set_role("flags", self._arch.flags_fixed)
        for name, value in [*self._words.items(), *((name, self.values[name]) for name in wide)]:
            process.machine.set_vector(name, value)


def _wide(arch: Arch) -> list[str]:
    """The floating-point registers that a callee keeps whole."""
    return [name for name, mask in arch.c.kept_floats.items() if mask == (1 << 64) - 1]


def _control(name: str, number: int) -> int:
    """A legal control word of floating point, with another rounding mode after each filling; exceptions are masked.

    Source: Intel SDM volume 1, figures 8-6 (x87 control word) and 10-3 (MXCSR).
    """
    rounding = (number - 1) & 3
    return 0x037F | rounding << 10 if name == "fpcw" else 0x1F80 | rounding << 13
