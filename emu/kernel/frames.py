"""The frame that a handler starts on, in guest memory as Linux lays it out, and the way back.

What the frame has no room for here (floating point, vector registers; Linux has them behind a pointer that is null
in these frames) is kept in Python with the frame's address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from arch.linux import Errno
from arch.signals import MASK_SIZE, SIGNALS, Act, Frame, Stack, Structs
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.pending import Action, AltStack, Info
from emu.kernel.table import Thread


class Pushed(NamedTuple):
    """A handler's frame at ``address``: what it is told, and the registers of who was interrupted.

    ``context``: the address of its ucontext. ``cpu``: the engine's state of then.
    """

    address: int
    context: int
    info: Info
    registers: Mapping[str, int]
    cpu: Any


def push(thread: Thread, info: Info, action: Action, mask: int) -> Pushed:
    """Let ``thread``, which is on the CPU, enter a handler; ``mask`` is what it comes back to.

    Raises `Refused` when there is no room for the frame.
    """
    process, machine = thread.process, thread.process.machine
    arch, layout = process.arch, SIGNALS[process.arch.name].frame
    registers = machine.registers()
    sp = registers[arch.roles["sp"]]
    at = _place(layout, sp, thread.signals.stack, action, arch.mask)
    back = _way_back(layout, at, action)
    names = {
        "signal": info.signal, "info": at + layout.info, "context": at + layout.context, "sp": sp, "zero": 0,
    }
    data = _contents(thread, layout, registers, mask)
    data[layout.info : layout.info + 128] = info.encode(arch)
    for offset, name in layout.on_stack.items():
        data[offset : offset + arch.word] = arch.pack(names[name])
    if layout.code_at is not None:
        data[layout.code_at : layout.code_at + len(layout.code)] = layout.code
    if layout.return_address is not None:
        data[layout.return_address : layout.return_address + arch.word] = arch.pack(back)
    memory.store(thread, at, bytes(data))
    pushed = Pushed(at, at + layout.context, info, registers, machine.save())
    _keep(thread, pushed, layout.size)
    process.set_registers({
        **{register: names[name] for register, name in layout.arguments.items()},
        **({arch.roles["link"]: back} if layout.return_address is None else {}),
        arch.roles["sp"]: at,
        arch.roles["pc"]: action.handler,
        arch.roles["flags"]: registers[arch.roles["flags"]] & ~layout.cleared,
    })
    return pushed


def _place(layout: Frame, sp: int, stack: AltStack, action: Action, word_mask: int) -> int:
    """Where the frame starts: below SP, or at the end of the alternate stack if that is wanted and not in use."""
    nested, top = stack.holds(sp), sp - layout.red_zone
    entering = Act.ONSTACK in action.flags and bool(stack.size) and not stack.holds(top)
    if entering:
        top = stack.address + stack.size
    before, boundary, after = layout.align
    at = ((top - layout.size + before) & -boundary) - after
    if (nested or entering) and not stack.address < at <= stack.address + stack.size:
        raise Refused(Errno.EFAULT)
    return at & word_mask


def _way_back(layout: Frame, at: int, action: Action) -> int:
    """The address that the handler returns to, where sigreturn is called."""
    if Act.RESTORER in action.flags:
        return action.restorer
    if layout.trampoline is not None:
        return layout.trampoline
    if layout.code_at is not None:
        return at + layout.code_at
    raise Refused(Errno.EFAULT)


def _contents(thread: Thread, layout: Frame, registers: Mapping[str, int], mask: int) -> bytearray:
    arch = thread.process.arch
    data = bytearray(layout.size)
    for offset, constant in layout.constants.items():
        data[offset : offset + len(constant)] = constant
    trap, error, fault = thread.signals.cause
    words = {
        **{offset: registers[name] for name, offset in layout.registers.items()},
        layout.trap: trap, layout.error: error, layout.fault: fault, layout.old_mask: mask,
    }
    for offset, value in words.items():
        data[offset : offset + arch.word] = arch.pack(value)
    data[layout.mask : layout.mask + MASK_SIZE] = mask.to_bytes(MASK_SIZE, "little")
    structs = SIGNALS[arch.name].structs
    data[layout.stack : layout.stack + structs.stack_size] = stack_words(structs, thread.signals.stack)
    return data


def _keep(thread: Thread, pushed: Pushed, size: int) -> None:
    """Remember a frame; those that it overwrites are gone: their handlers never came back."""
    frames = thread.signals.frames
    for address in [address for address in frames if abs(address - pushed.address) < size]:
        del frames[address]
    frames[pushed.address] = pushed


def pop(thread: Thread) -> tuple[Pushed | None, int, AltStack]:
    """sigreturn: all registers of the frame at SP, as the handler left them there.

    Returns what was pushed there (None: the guest made the frame itself), the signal mask and the alternate stack to
    go on with. Raises `Refused` when there is no frame.
    """
    process = thread.process
    arch, layout = process.arch, SIGNALS[process.arch.name].frame
    at = process.role("sp") - layout.popped
    data = memory.load(thread, at, layout.size)

    def number(offset: int, size: int) -> int:
        return int.from_bytes(data[offset : offset + size], "little")

    pushed = thread.signals.frames.pop(at, None)
    if pushed is not None:
        process.machine.restore(pushed.cpu)
    values = {name: number(offset, arch.word) for name, offset in layout.registers.items()}
    flags = arch.roles["flags"]
    values[flags] = process.role("flags") & ~layout.restored | values[flags] & layout.restored
    process.set_registers(values)
    stack = read_stack(SIGNALS[arch.name].structs, data[layout.stack :])
    return pushed, number(layout.mask, MASK_SIZE), stack


def stack_words(structs: Structs, stack: AltStack, flags: int | None = None) -> bytes:
    """sigaltstack's struct; ``flags``: as it tells them, if not as they were given."""
    data = bytearray(structs.stack_size)
    told = stack.flags if flags is None else flags
    for name, value in {"address": stack.address, "flags": told, "size": stack.size}.items():
        field = structs.stack[name]
        data[field.offset : field.offset + field.size] = int(value).to_bytes(field.size, "little")
    return bytes(data)


def read_stack(structs: Structs, data: bytes) -> AltStack:
    """What sigaltstack's struct says."""
    values = {
        name: int.from_bytes(data[field.offset : field.offset + field.size], "little")
        for name, field in structs.stack.items()
    }
    return AltStack(values["address"], values["size"], Stack(values["flags"]))
