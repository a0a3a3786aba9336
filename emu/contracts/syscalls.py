"""Contracts of the system-call stubs: what the kernel must be given, and what the caller gets back."""

from __future__ import annotations

from collections.abc import Callable

from arch import linux, stubs
from arch.stubs import Stub
from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry
from emu.contracts.switch import runs

_ORDINALS = ("number", "a1", "a2", "a3", "a4", "a5", "a6")


def of(name: str) -> Callable[[Entry], Effect]:
    """The contract of a stub that enters the kernel once and returns once."""
    return lambda e: _effect(e, name, stubs.stub(e.era.name, e.arch, name))


def vfork(e: Entry) -> Effect:
    """rawVforkSyscall: two processes return from it, on one stack and out of one memory, the child first.

    So the return PC crosses the trap in a register that the kernel keeps for both. What the other process left in
    memory, the word at the return PC included, must not matter.
    """
    name = "rawVforkSyscall"
    return _effect(e, name, stubs.stub(e.era.name, e.arch, name)._replace(inputs=e.vfork_inputs))


def _effect(e: Entry, name: str, stub: Stub) -> Effect:
    inputs = [e.argument(name, index) for index in range(stub.inputs)]
    passed = [*inputs[1:], *[0] * stub.arguments][: stub.arguments]
    answer = e.answers[0] & e.arch.mask
    back = [*_results(e, name, stub, passed, answer), *_returned(e, name)]
    return Effect(
        (Moment("trap", tuple(_at_trap(e, name, stub, inputs[0], passed))), Moment(_caller(e), tuple(back))),
        _may_write(e, stub),
        _hole(e, stub, answer),
    )


def _caller(e: Entry) -> str:
    return e.program.describe(e.return_pc)


def _at_trap(e: Entry, name: str, stub: Stub, number: int, passed: list[int]) -> list[Carry]:
    convention = e.arch.syscall
    carries = [carry("number", "input 1", Place("number", convention.number), number)]
    for index, value in enumerate(passed, 1):
        source = f"input {index + 1}" if index < stub.inputs else "0: the stub has no such input"
        carries.append(carry(_ORDINALS[index], source, Place(_ORDINALS[index], convention.arguments[index - 1]), value))
    if stub.keeper:
        kept = Place("register that the kernel keeps", stub.keeper)
        carries.append(carry("return PC", "return PC at entry", kept, e.return_pc))
        carries.append(carry("SP", "SP at entry, return PC popped", e.register("sp"), e.caller_sp))
    else:
        source = "SP at entry, one return PC pushed" if stub.called else "SP at entry"
        carries.append(carry("SP", source, e.register("sp"), e.sp - (e.pushed if stub.called else 0)))
    return [*carries, *_same_g(e, name)]


def _same_g(e: Entry, name: str) -> list[Carry]:
    """The thread's g and m, as they were; a routine of the stack ABI need not keep the register that mirrors g."""
    mirror = None if e.internal(name) else e.g_mirror
    return [item for item in runs(e, e.g, "g", "unchanged") if item.place != mirror]


def _results(e: Entry, name: str, stub: Stub, passed: list[int], answer: int) -> list[Carry]:
    """r1, r2, err as far as the stub has them: in registers, or in the words after its inputs."""
    failed = stub.fails and linux.stub_sees_error(e.arch, answer)
    result = "the kernel's result"
    values = [("r1", "-1", e.arch.mask) if failed else ("r1", result, answer)]
    if stub.echo is not None:
        echoed = stub.echo and not failed
        source = f"{_ORDINALS[stub.echo]}, as the kernel leaves it" if echoed else "0"
        values.append(("r2", source, passed[stub.echo - 1] if echoed else 0))
    if stub.fails:
        values.append(("err", f"{result}, negated", -answer & e.arch.mask) if failed else ("err", "0", 0))
    if e.internal(name):
        assert e.arch.internal is not None
        registers = e.arch.internal.arguments
        return [carry(r, source, Place(r, registers[i]), value) for i, (r, source, value) in enumerate(values)]
    places = [
        Place(f"result {r}", address=e.argument_at(stub.inputs + i), size=e.arch.word)
        for i, (r, _, _) in enumerate(values)
    ]
    return [carry(r, source, place, value) for place, (r, source, value) in zip(places, values, strict=True)]


def _returned(e: Entry, name: str) -> list[Carry]:
    """What every return owes its caller."""
    carries = [carry("caller's SP", "SP at entry, return PC popped", e.register("sp"), e.caller_sp)]
    carries += _same_g(e, name)
    if "link" in e.arch.roles:
        carries.append(carry("link", "unchanged", e.register("link"), e.role("link")))
    if "fp" in e.arch.roles:
        carries.append(carry("frame pointer", "unchanged", e.register("fp"), e.role("fp")))
    if e.internal(name):
        assert e.arch.internal is not None
        carries.append(carry("zero", "0 at every call", Place("zero register", e.arch.internal.zero), 0))
    return carries


def _may_write(e: Entry, stub: Stub) -> tuple[Span, ...]:
    if stub.called:
        return (Span(e.sp - e.pushed, e.pushed, "the call that enters the kernel"),)
    if stub.keeper and e.pushed:
        return (Span(e.sp, e.pushed, "the return PC, written again by each process"),)
    return ()


def _hole(e: Entry, stub: Stub, answer: int) -> str:
    if stub.fails and linux.is_error(e.arch, answer) and not linux.stub_sees_error(e.arch, answer):
        return f"the kernel means {e.arch.signed(answer)} as an error; the stub takes it for a result"
    return ""
