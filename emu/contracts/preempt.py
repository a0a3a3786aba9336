"""The contract of asyncPreempt: injected between two instructions of a goroutine, it leaves no trace there."""

from __future__ import annotations

from emu.contracts.effect import Effect, Entry, Moment, Place, carry


def async_preempt(e: Entry) -> Effect:
    """Every register and flag is as it was when the goroutine goes on; the signal handler's push is taken back.

    Where there is a link register the handler pushed its value and put the PC to go on at in its place. ``facts``:
    vector register -> its value at entry.
    """
    sp = e.sp + e.arch.word
    kept = [name for name in e.arch.registers if name not in (e.arch.roles["sp"], e.arch.roles["pc"])]
    link = e.arch.roles.get("link")
    carries = [
        carry("SP", "SP at entry, the handler's push taken back", e.register("sp"), sp),
        *(carry(name, "at entry", Place(name, name), e.registers[name]) for name in kept if name != link),
        *(carry(name, "at entry", Place(name, name), value) for name, value in e.facts.items()),
    ]
    if link:
        carries.append(carry("link", "pushed by the handler", e.register("link"), e.word(e.sp)))
    return Effect((Moment(e.program.describe(e.return_pc), tuple(carries)),))
