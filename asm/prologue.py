"""Functions that check their stack: the source text of a prologue as an era emits it, from a frame size.

The instructions stand in the eras' sources, as macros (``check_small`` …); here the right one is chosen.
"""

from __future__ import annotations

from arch import stackcheck
from arch.golang import Era
from arch.model import Arch
from asm import source
from asm.hooks import Hook
from asm.statement import Statement


def splittable(
    era: Era, arch: Arch, name: str, frame: int, *,
    args: int = 0, ctxt: bool = False, body: str = "", abi0: bool = False, hook: Hook | None = None,
) -> str:
    """The source of a function: its label, the era's stack check for ``frame``, ``body``, and the check's tail.

    ``frame``: all bytes below SP at entry, except the return PC on x86; on arm the saved link counts. ``args``: bytes
    of stack arguments, whole words. ``ctxt``: the function uses its closure context. ``body``: its instructions, from
    the making of the frame to the return; it may not define the labels ``.check``, ``.body`` and ``.more``.
    ``abi0``: code of the stack ABI, in an era where g is in a register under the other one. ``hook``: is called before
    the check, once however often that is made again.
    The text is for `statements`, or with a hook for `asm.hooks.statements`. Raises ValueError for sizes that no
    function has.
    """
    if frame < 0 or args < 0 or args % arch.word:
        raise ValueError(f"{name}: no function has a frame of {frame} bytes and {args} bytes of arguments")
    call = stackcheck.call(era, arch, frame, args, ctxt=ctxt)
    macro = f"check_{era.check_form(arch, frame)}{_ending(era, arch, call, abi0)}"
    parameters = [name, str(frame), str(args), call.entry]
    if call.extra is not None:
        parameters.append(str(call.extra))
    before = f"    {hook.call(ctxt)}" if hook else ""
    check = f"    {macro} {', '.join(parameters)}"
    lines = [f"{name}:", before, check, body.rstrip("\n"), f"    check_tail {call.entry}"]
    return "\n".join(line for line in lines if line) + "\n"


def _ending(era: Era, arch: Arch, call: stackcheck.Call, abi0: bool) -> str:
    """What follows the form in the macro's name: sizes in a register, or g to be loaded first."""
    if stackcheck.style(era, arch).sizes == "variant" and call.extra is not None:
        return "_ax"
    return "_abi0" if abi0 and era.internal.get(arch.name) else ""


def statements(text: str, file: str, era: Era, arch: Arch) -> list[Statement]:
    """The statements of a text that uses the era's macros, for `asm.assembler.assemble`. Raises AsmError."""
    return source.parse(text, file, arch, macros=source.macros(era.name, arch.name))


JUMP = {"x86": "jmp", "arm": "b"}
"""isa -> the mnemonic of an unconditional branch, for bodies that end in one."""


def entry_behind(arch: Arch, code: bytes, pc: int) -> int:
    """Where the branch in ``code`` at ``pc`` leads, read as 2014's newstack reads it to find a function's start.

    That is a short or near jump on x86; on arm a branch on lower or same. ValueError for any other instruction.
    """
    if arch.isa == "arm":
        if code[3] == 0x9A:
            return pc + 8 + 4 * _signed(code[:3])
    elif code[0] == 0xEB:
        return pc + 2 + _signed(code[1:2])
    elif code[0] == 0xE9:
        return pc + 5 + _signed(code[1:5])
    raise ValueError(f"no branch to a function's start at {pc:#x}: {code.hex(' ')}")


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)
