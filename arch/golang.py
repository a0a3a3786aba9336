"""Eras of the Go runtime: layouts, guard constants, and what each era's routines do differently.

Sources: the commits named in each record (Go's repository), read per architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arch.layout import Layout
from arch.model import Arch


@dataclass(frozen=True)
class Guards:
    """Stack constants of an era on Linux, in bytes; ``special``: name -> signed value of a guard word.

    ``guard``: the guard lies this far above the bottom of a stack. ``small``: how far below the guard a
    frame may reach unchecked. ``big``: above it the huge form of the check is used. ``minimum``: smallest
    stack. ``extra``: added to a new segment (0 where there are none). ``nosplit``: most that a chain of
    unchecked functions may use.
    """

    guard: int
    small: int
    big: int
    minimum: int
    extra: int
    nosplit: int
    special: Mapping[str, int]


@dataclass(frozen=True)
class Era:
    """A generation of the runtime.

    ``stacks``: ``segmented`` (linked segments), ``hybrid`` (copies or links) or ``contiguous`` (copies).
    ``tls_slots``: names of the words just below the thread's TLS base, lowest first.
    ``layouts``: arch name -> Layout. ``routines``: arch name -> routines that exist there, in the order
    of the source. ``internal``: arch name -> routines that follow the register ABI.
    """

    name: str
    commit: str
    stacks: str
    guards: Guards
    tls_slots: tuple[str, ...]
    layouts: Mapping[str, Layout]
    routines: Mapping[str, tuple[str, ...]]
    internal: Mapping[str, frozenset[str]]

    def layout(self, arch: Arch) -> Layout:
        """The layout of G, M, Gobuf (and Stktop) on ``arch``."""
        return self.layouts[arch.name]

    def names(self, arch: Arch) -> dict[str, int]:
        """Every name that an assembly source of this era may use for a number.

        Layout fields and sizes (``g.sched.sp``, ``g.size``), ``Stack*`` constants, and the special guard
        values as words (``StackPreempt``); ``word`` is the pointer size.
        """
        raise NotImplementedError
