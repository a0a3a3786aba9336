"""The scene that every routine has that changes g where g lives in a register: the program uses cgo."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.contracts.judge import Scene
from emu.runtime.world import World


def under_cgo(
    world: World, enter: Callable[[World], None], kinds: tuple[str, ...] = ("mirror",)
) -> Iterator[Scene]:
    """``enter`` with iscgo set, in eras whose routine heeds it in one of the ``kinds`` of `Habits.cgo`.

    Left out where the target does not say where iscgo is, as a stripped binary does not.
    """

    def prepare(w: World) -> None:
        enter(w)
        w.set_cgo()

    if "link" in world.arch.roles and world.habits.cgo in kinds and "iscgo" in world.target.data:
        yield Scene("iscgo", prepare, facts={"cgo": world.cgo_mirror})
