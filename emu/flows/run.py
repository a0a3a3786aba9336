"""The flows by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.contracts.judge import Check
from emu.flows.recursion import growth, growth_link, preempt
from emu.flows.turns import switch
from emu.target import Target

RUNS: dict[str, Callable[[Target], Iterator[Check]]] = {
    "switch": switch, "growth": growth, "growth-link": growth_link, "preempt": preempt,
}
