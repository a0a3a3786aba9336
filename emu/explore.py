"""Every interleaving of a few threads: depth-first over states, each looked at once, to the end.

What the threads are is the space's affair (`emu.race`): here are states, the steps between them, and what was found.
A step leads from one scheduling point of a thread to its next. What raises a `Failure` in a step is a finding; it has
a schedule, a short string such as ``a12b3a`` (twelve steps of the first thread, three of the second, one of the
first), which `replay` follows. Equal spaces give equal results, in every number.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from emu.errors import BadInput
from emu.progress import Progress
from emu.runtime.failures import Deadlock, Failure, Spent

S = TypeVar("S", bound=Hashable)
LIMIT = 1_000_000  # states


class Space(Protocol[S]):
    """Threads and the states that they can be in together. States with equal futures should be equal."""

    @property
    def names(self) -> Sequence[str]:
        """The threads' names; a schedule calls them a, b, c …"""

    def start(self) -> S:
        """The first state."""

    def able(self, state: S) -> Sequence[int]:
        """The threads that can take a step: neither ended nor waiting."""

    def over(self, state: S) -> bool:
        """Whether every thread has ended."""

    def step(self, state: S, thread: int) -> S:
        """The state after a step of a thread. Raises a Failure if something goes wrong in it."""

    def tell(self, state: S, thread: int) -> str:
        """What a thread is about to do, in words."""


@dataclass(frozen=True)
class Finding:
    """What went wrong, and the schedule with the fewest switches (and then steps) that leads to it."""

    failure: Failure
    schedule: str
    steps: int

    @property
    def kind(self) -> str:
        """The name of the failure's class."""
        return type(self.failure).__name__


@dataclass(frozen=True)
class Exploration:
    """The result: ``findings``, the shortest first, one for each kind and message; a deadlock is one of them.

    ``states`` and ``transitions`` looked at; ``ends``: states in which every thread has ended; ``blocked``: steps
    that change nothing, a thread that spins: they are no transitions.
    """

    states: int
    transitions: int
    ends: int
    blocked: int
    findings: tuple[Finding, ...]


@dataclass
class _Graph:
    """What was seen. ``edges``: of each state, (thread, next state); ``wrong``: (state, thread, failure)."""

    edges: list[list[tuple[int, int]]] = field(default_factory=list)
    wrong: list[tuple[int, int, Failure]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    blocked: int = 0


def explore(space: Space[S], limit: int = LIMIT) -> Exploration:
    """Look at every state. Raises Spent if there are more than ``limit``."""
    start = space.start()
    seen: dict[S, int] = {start: 0}
    graph = _Graph([[]], ends=[0] if space.over(start) else [])
    stack = [(start, 0, list(space.able(start)))]
    with Progress("states") as progress:
        while stack:
            state, index, left = stack[-1]
            if not left:
                stack.pop()
                continue
            thread = left.pop(0)
            try:
                new = space.step(state, thread)
            except Failure as failure:
                graph.wrong.append((index, thread, failure))
                continue
            if new == state:
                graph.blocked += 1
                continue
            if new not in seen:
                seen[new] = len(seen)
                if len(seen) > limit:
                    raise Spent(f"more than {limit} states of {', '.join(space.names)}")
                progress.count(len(seen))
                graph.edges.append([])
                able = list(space.able(new))
                if able:
                    stack.append((new, seen[new], able))
                elif space.over(new):
                    graph.ends.append(seen[new])
            graph.edges[index].append((thread, seen[new]))
    findings = [*graph.wrong, *_deadlocks(space, graph, list(seen))]
    return Exploration(
        len(seen), sum(map(len, graph.edges)), len(graph.ends), graph.blocked, tuple(_shortest(graph, findings)),
    )


def _deadlocks(space: Space[S], graph: _Graph, states: Sequence[S]) -> Iterable[tuple[int, int, Failure]]:
    """States from which nothing leads to an end or a failure; the thread of such a finding is -1."""
    before: list[list[int]] = [[] for _ in states]
    for index, edges in enumerate(graph.edges):
        for _thread, new in edges:
            before[new].append(index)
    alive = {*graph.ends, *(index for index, _, _ in graph.wrong)}
    queue = deque(sorted(alive))
    while queue:
        for index in before[queue.popleft()]:
            if index not in alive:
                alive.add(index)
                queue.append(index)
    doomed = [index for index in range(len(states)) if index not in alive]
    still = [index for index in doomed if not graph.edges[index]]
    for index in still or doomed[:1]:
        waiting = (
            f"{name} {space.tell(states[index], number)}"
            for number, name in enumerate(space.names)
            if space.tell(states[index], number)
        )
        what = "all threads wait" if still else "the threads go on for ever, none comes to its end"
        yield index, -1, Deadlock(f"{what}: {'; '.join(waiting)}")


def _shortest(graph: _Graph, found: Iterable[tuple[int, int, Failure]]) -> list[Finding]:
    """One finding for each kind and message, with the schedule that has fewest switches, then fewest steps."""
    kept: dict[tuple[str, str], list[tuple[int, int, Failure]]] = {}
    for index, thread, failure in found:
        kept.setdefault((type(failure).__name__, str(failure)), []).append((index, thread, failure))
    if not kept:
        return []
    paths = _Paths(graph)
    findings: list[tuple[tuple[int, int, str], Finding]] = []
    for places in kept.values():
        cost, choices, failure = min(
            ((*paths.to(index, thread), failure) for index, thread, failure in places), key=lambda p: p[:2]
        )
        written = write(choices)
        findings.append(((*cost, written), Finding(failure, written, len(choices))))
    return [finding for _, finding in sorted(findings, key=lambda pair: pair[0])]


class _Paths:
    """Cheapest ways from the first state: by (switches, steps), to each state with each thread as the last to step."""

    def __init__(self, graph: _Graph) -> None:
        self._from: dict[tuple[int, int], tuple[int, int] | None] = {(0, -1): None}
        self._cost: dict[tuple[int, int], tuple[int, int]] = {(0, -1): (-1, 0)}
        self._reached: dict[int, list[int]] = {0: [-1]}
        layer = [(0, -1)]
        while layer:  # a layer is one number of switches; within it, breadth first
            after: list[tuple[int, int]] = []
            queue = deque(layer)
            while queue:
                index, last = node = queue.popleft()
                for thread, new in graph.edges[index]:
                    switches, steps = self._cost[node]
                    arrived, cost = (new, thread), (switches + (thread != last), steps + 1)
                    if arrived in self._cost and self._cost[arrived] <= cost:
                        continue
                    if arrived not in self._cost:
                        self._reached.setdefault(new, []).append(thread)
                    self._cost[arrived], self._from[arrived] = cost, node
                    if thread == last:
                        queue.append(arrived)
                    else:
                        after.append(arrived)
            layer = after

    def to(self, index: int, thread: int) -> tuple[tuple[int, int], list[int]]:
        """Cost and choices of the cheapest way to a state and then a step of ``thread`` (-1: no further step)."""
        costs = {
            last: (switches, steps) if thread < 0 else (switches + (last != thread), steps + 1)
            for last in self._reached[index]
            for switches, steps in (self._cost[index, last],)
        }
        least = min(costs.values())
        return least, min(self._choices(index, last, thread) for last, cost in costs.items() if cost == least)

    def _choices(self, index: int, last: int, thread: int) -> list[int]:
        choices = [thread] if thread >= 0 else []
        node: tuple[int, int] | None = (index, last)
        while node is not None and node[1] >= 0:
            choices.append(node[1])
            node = self._from[node]
        return choices[::-1]


# schedules


def write(choices: Iterable[int]) -> str:
    """Choices of threads as a schedule: ``[0, 0, 1]`` is ``a2b``."""
    runs: list[list[int]] = []
    for thread in choices:
        if runs and runs[-1][0] == thread:
            runs[-1][1] += 1
        else:
            runs.append([thread, 1])
    return "".join(f"{chr(ord('a') + thread)}{count if count > 1 else ''}" for thread, count in runs)


def parse(schedule: str, threads: int) -> list[int]:
    """The choices that a schedule stands for. Raises BadInput."""
    last = chr(ord("a") + threads - 1)
    if not re.fullmatch(rf"(?:[a-{last}]\d{{0,6}})+", schedule):
        wanted = f"letters a to {last}, each with a number of steps, as in a12{last}3"
        raise BadInput(f"{schedule!r} is no schedule: {wanted}")
    pairs = re.findall(r"([a-z])(\d*)", schedule)
    return [ord(letter) - ord("a") for letter, count in pairs for _ in range(int(count or 1))]


@dataclass(frozen=True)
class Replay:
    """One interleaving: ``steps`` as (thread's name, what it did), and how it ended: ``failure``, None if well."""

    steps: tuple[tuple[str, str], ...]
    failure: Failure | None


def replay(space: Space[S], schedule: str, limit: int = LIMIT) -> Replay:
    """Follow a schedule, then take the threads to their ends in order. Raises BadInput for what is no schedule.

    A choice of a thread that has ended, or waits, is passed over: so a schedule that was found in one variant of a
    program can be followed in another.
    """
    follow = _Follow(space)
    for thread in parse(schedule, len(space.names)):
        if follow.failure is None and thread in space.able(follow.state):
            follow.take(thread)
    while follow.failure is None and len(follow.steps) < limit and follow.rest():
        pass
    if follow.failure is None and not space.over(follow.state):
        follow.failure = Deadlock("the threads do not come to their ends")
    return Replay(tuple(follow.steps), follow.failure)


class _Follow(Generic[S]):
    """A replay in progress."""

    def __init__(self, space: Space[S]) -> None:
        self._space, self.state = space, space.start()
        self._seen = {self.state}
        self.steps: list[tuple[str, str]] = []
        self.failure: Failure | None = None

    def take(self, thread: int) -> None:
        """A step of one thread."""
        self.steps.append((self._space.names[thread], self._space.tell(self.state, thread)))
        try:
            self.state = self._space.step(self.state, thread)
        except Failure as failure:
            self.failure = failure
        self._seen.add(self.state)

    def rest(self) -> bool:
        """A step of the first thread that gets anywhere by it; whether there is one."""
        for thread in self._space.able(self.state):
            try:
                gets_on = self._space.step(self.state, thread) not in self._seen
            except Failure:
                gets_on = True
            if gets_on:
                self.take(thread)
                return True
        return False
