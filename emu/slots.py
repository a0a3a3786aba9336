"""Words of stacks in words: which slot of which guest function an access touched, and what the function keeps there."""

from __future__ import annotations

from asm.guests import Function
from emu.session import Session
from emu.shadow import Stale, Touch


def told(session: Session, stale: Stale) -> str:
    """A read that breaks the rule of `emu.shadow`: what was read, by which instruction, and who had written it."""
    code = session.target.program.describe
    read, wrote = (place(session, touch, stale.address) for touch in (stale.reader, stale.writer))
    return (
        f"the parent reads {read} at {code(stale.reader.pc)}; its vfork child wrote "
        f"{'that' if wrote == read else wrote} last, at {code(stale.writer.pc)}, "
        f"{stale.reader.step - stale.writer.step} steps before"
    )


def place(session: Session, touch: Touch, address: int) -> str:
    """What an instruction touched at ``address``, seen from the function that it stands in, whose frame is made."""
    arch, program = session.arch, session.target.program
    symbol = program.at(touch.pc)
    above = address - touch.sp
    if symbol is None:
        return session.world.describe(address)
    returns = program.lines[touch.pc].text.split()[0] == "ret" if touch.pc in program.lines else False
    if returns or (symbol.name not in session.guests.functions and not above):
        return f"the return PC of {symbol.name}"
    if symbol.name not in session.guests.functions:
        return f"the word {above} bytes above SP in {symbol.name}"
    function, frame = session.guests.functions[symbol.name], session.guests.frames[symbol.name]
    slot = (above - (0 if arch.call.return_on_stack else arch.word)) // arch.word
    if 0 <= slot < function.slots:
        return f"slot {slot} of {symbol.name}{_locals(function, slot)}"
    if above < frame:
        return f"what {symbol.name} saves beside its slots"
    return f"argument {(above - frame - arch.call.first_argument) // arch.word} of {symbol.name}"


def _locals(function: Function, slot: int) -> str:
    names = [name for name, first in function.locals if first == slot]
    return f" ({', '.join(names)})" if names else ""
