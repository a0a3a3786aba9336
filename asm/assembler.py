"""Statements -> Program. The only place that imports Keystone, which sees one instruction at a time.

Labels, names, data, macros and pools are ours; an instruction reaches Keystone as canonical text with numbers only,
and its bytes are read back through Capstone and compared with what was written before anyone may use them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from arch.model import Arch
from asm import encodings, readback
from asm.image import Image
from asm.isa import isa
from asm.names import Names
from asm.operands import Imm, Instruction, Refused
from asm.program import Program, Segment
from asm.statement import AsmError, Statement

__all__ = ["AsmError", "assemble"]


def assemble(
    statements: Sequence[Statement],
    arch: Arch,
    *,
    base: int,
    names: Mapping[str, int] | None = None,
    gates: Mapping[str, int] | None = None,
    watch: Callable[[Statement], None] | None = None,
) -> Program:
    """A program at ``base`` out of statements.

    ``names``: what names in operands stand for (offsets, sizes, constants). ``gates``: addresses outside, used
    as labels; the program carries them all. ``watch`` is called with each statement before Keystone sees it.
    Raises AsmError.
    """
    if base < 0 or base % arch.alignment:
        raise AsmError(statements[0].file if statements else "", 0, f"no code can stand at {base:#x}")
    engine = _engine(arch)
    image = Image(arch, engine.isa, Names(names or {}, gates or {}), engine.encode, watch or (lambda _: None))
    image.collect(statements)
    with _silence():
        image.lay_out(base)
        code, lines, data = image.finish(base)
    segments = (Segment(base, code, len(code), writable=False, executable=True),) if code else ()
    return Program(arch.name, segments, image.symbols(), dict(gates or {}), lines, data)


class _Engine:
    """Keystone and Capstone for one architecture, and every encoding that was found good (or not)."""

    def __init__(self, arch: Arch) -> None:
        self.arch = arch
        self.reader = readback.reader(arch)
        self.isa = isa(arch, self.reader.mnemonics())
        self.good = encodings.known(arch.name)
        self.refused: dict[tuple[str, bytes, int], str] = {}

    def encode(self, insn: Instruction, address: int) -> bytes:
        """The bytes of an instruction at ``address``; Refused if there are none that mean it."""
        code = self._remembered(insn, address)
        return self._remembered(insn.reach(len(code)), address) if insn.reach else code

    def _remembered(self, insn: Instruction, address: int) -> bytes:
        key, refusal = _key(insn, address), (insn.text, insn.code, address)
        found = self.good.get(key)
        if found is None:
            if refusal in self.refused:
                raise Refused(self.refused[refusal])
            try:
                found = self.good[key] = self._encode(insn, address)
            except Refused as problem:
                self.refused[refusal] = str(problem)
                raise
        return found

    def _encode(self, insn: Instruction, address: int) -> bytes:
        code = insn.code or self._ask(insn, address)
        read = self.reader.read(code, address)
        if read is None:
            raise Refused(f"its encoding {code.hex(' ')} is not one instruction")
        why = self.isa.differences(insn, read)
        if why:
            raise Refused(f"it would be encoded as {read.text!r}: {why}")
        return code

    def _ask(self, insn: Instruction, address: int) -> bytes:
        """Keystone's bytes. It may return None without an error, too.

        Each question gets a Keystone of its own: for its second warning one reads text that is freed by then.
        """
        import keystone

        kinds = {"x86": keystone.KS_ARCH_X86, "arm": keystone.KS_ARCH_ARM}
        modes = {"x86": {32: keystone.KS_MODE_32, 64: keystone.KS_MODE_64}, "arm": {32: keystone.KS_MODE_ARM}}
        try:
            engine = keystone.Ks(kinds[self.arch.isa], modes[self.arch.isa][self.arch.bits])
            code, _ = engine.asm(insn.text, address, True)
        except keystone.KsError as problem:
            reason = str(problem).partition(" (KS_")[0].lower()
            raise Refused(f"there is no such instruction ({reason}){self.isa.hint(insn)}") from None
        if not code:
            raise Refused(f"there is no such instruction{self.isa.hint(insn)}")
        return bytes(code)


def _key(insn: Instruction, address: int) -> tuple[str, bytes, int]:
    """What an encoding depends on; for a branch not where it stands, but how far its target is."""
    target = insn.operands[0] if insn.relative else None
    if isinstance(target, Imm):
        return insn.text.rpartition(" ")[0], insn.code, target.value - address
    return insn.text, insn.code, address if insn.relative else -1


_ENGINES: dict[str, _Engine] = {}


def _engine(arch: Arch) -> _Engine:
    if arch.name not in _ENGINES:
        _ENGINES[arch.name] = _Engine(arch)
    return _ENGINES[arch.name]


@contextmanager
def _silence() -> Iterator[None]:
    """Drops what LLVM writes to the standard error by itself; ours says it with file and line."""
    try:
        saved = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
