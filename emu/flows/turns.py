"""Goroutines that take turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emu.contracts.judge import Check
from emu.flows.crossings import Crossings
from emu.flows.flow import Flow, RuntimeClass
from emu.runtime.goroutine import Goroutine
from emu.target import Target

ROUNDS, PLAYERS, STACK = 8, 3, 8192


def switch(target: Target, runtime: RuntimeClass = None) -> Iterator[Check]:
    """Goroutines take turns: mcall, Python picks another one, gogo."""
    flow = Flow(target, runtime)
    session, picked = flow.session, 0

    def policy(runnable: Sequence[Goroutine]) -> Goroutine:
        nonlocal picked
        picked += 1
        return runnable[(picked * picked + picked // 3) % len(runnable)]

    session.policy = policy
    ids = [100 * n for n in range(1, PLAYERS + 1)]
    players = [session.go("player", n, ROUNDS, name=f"player {n}", stack=STACK) for n in ids]
    flow.run(Crossings(flow.tally))
    for n, player in zip(ids, players, strict=True):
        flow.results(player, ROUNDS, n * ROUNDS + ROUNDS * (ROUNDS + 1) // 2)
    flow.exactly("turns", PLAYERS * (ROUNDS + 1), flow.count("run"))
    yield from flow.tally.checks()
