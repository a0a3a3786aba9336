"""What an arch and a release have: places that not every run has, and how routines are called there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from arch import golang
from arch.habits import habits
from emu.trace.model import Header

_OF_REGISTER_ABI = {"mirror": "no second register for g", "argument": "no arguments or results in registers"}
_TITLES = {"fp": "frame pointer", "link": "link register", "ctxt": "closure context"}
_KEPT = {"fp": "gobuf.bp", "ctxt": "gobuf.ctxt"}  # an era that keeps it in no gobuf has no such thing


class Name(NamedTuple):
    """A place, or where a value came from. ``field``: of the layout, if it is a field; ``role``: of the arch's
    registers, of `_OF_REGISTER_ABI`, or ``pushed`` for a word that a call pushes."""

    text: str
    field: str = ""
    role: str = ""


def abi_of(header: Header, routine: str) -> tuple[tuple[str, ...], str, Mapping[str, str]]:
    """Argument registers of the routine, the register that mirrors g, and what a stack check hands over in registers.

    Empty where there are none, and for what is no Go program.
    """
    try:
        era = golang.era(header.go)
    except KeyError:
        return (), "", {}
    abi, routines = header.arch.internal, era.internal.get(header.arch.name, frozenset())
    hands = habits(era.name, header.go).growth.hands.get(header.arch.name, {})
    if abi is None or not routines:
        return (), "", hands
    return abi.arguments if routine in routines else (), abi.g, hands


def lacking(name: Name, header: Header) -> str:
    """Why a run has no such place or value; empty if it may have one."""
    if name.field and name.field not in header.layout:
        return f"no field {name.field} in {header.go}"
    if name.role in _OF_REGISTER_ABI:
        return "" if abi_of(header, "")[1] else f"{_OF_REGISTER_ABI[name.role]} on {header.arch_name}, {header.go}"
    if name.role == "pushed":
        return "" if header.arch.call.return_on_stack else f"no return PC on the stack on {header.arch_name}"
    if name.role and name.role not in header.arch.roles:
        return f"no {_TITLES[name.role]} on {header.arch_name}"
    return "" if not name.role or name.role in carried_roles(header) else f"no {_TITLES[name.role]} in {header.go}"


def carried_roles(header: Header) -> list[str]:
    """Roles of registers that carry something to whoever runs next, on this arch in this layout."""
    return [
        role for role in _TITLES
        if role in header.arch.roles and (role not in _KEPT or _KEPT[role] in header.layout)
    ]
