"""The symbols of a program by name: from .symtab or, in a stripped program, from Go's function table.

Both decode little at first, since a program has thousands of symbols and a run asks for a few dozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from asm.elf import ElfError, Image
from asm.pclntab import Function, FunctionTable
from asm.program import Symbol

_ABI0 = ".abi0"


class TableSymbols(Mapping[str, Symbol]):
    """Functions and data of .symtab; of several with one name, which are local to files, the first."""

    def __init__(self, image: Image) -> None:
        """Raises ElfError if the table is damaged, or not that of a Go program."""
        self._known: dict[str, tuple[int, int]] = {}
        for name, address, size in image.symbols():
            self._known.setdefault(name, (address, size))
        if "runtime.text" not in self._known:
            raise ElfError("the symbol table is not that of a Go program: no runtime.text")

    def __getitem__(self, name: str) -> Symbol:
        return Symbol(name, *self._known[name])

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class FunctionSymbols(Mapping[str, Symbol]):
    """The functions of Go's function table under the names that .symtab would have; it knows no data.

    Where a function has a body and a wrapper for the other calling convention, .symtab adds ``.abi0`` to the one
    that takes its arguments on the stack: the body if it is assembly, else the wrapper. Generic functions carry
    ``[...]`` for their types; of several with one name the first is taken.
    """

    def __init__(self, functions: FunctionTable, wrappers: bool) -> None:
        """``wrappers``: whether the architecture has two calling conventions."""
        self._functions = functions
        self._wrappers = wrappers
        self._all: dict[str, Symbol] = {}
        self._asked: dict[str, dict[str, Symbol]] = {}  # by name without a suffix: each process asks for the same few

    def __getitem__(self, name: str) -> Symbol:
        if self._all:
            return self._all[name]
        bare = name.removesuffix(_ABI0)
        if bare not in self._asked:
            self._asked[bare] = self._alike(self._functions.named(bare))
        return self._asked[bare][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._every())

    def __len__(self) -> int:
        return len(self._every())

    def _every(self) -> dict[str, Symbol]:
        """All of them, which takes a tenth of a second: only if somebody goes through them."""
        if not self._all:
            alike: dict[str, list[Function]] = {}
            for function in self._functions:
                alike.setdefault(function.name, []).append(function)
            for functions in alike.values():
                self._all.update(self._alike(functions))
        return self._all

    def _alike(self, alike: Sequence[Function]) -> dict[str, Symbol]:
        """Functions that share a name, by their full names. Of Go's kinds of functions the wrapper has the last."""
        names = [function.name for function in alike]
        if self._wrappers and len(alike) == 2 and "[" not in names[0] and not all(found.assembly for found in alike):
            first, second = ((found.assembly, found.kind) for found in alike)
            names[first <= second] += _ABI0
        found: dict[str, Symbol] = {}
        for name, function in zip(names, alike, strict=True):
            found.setdefault(name, Symbol(name, function.address, function.size))
        return found
