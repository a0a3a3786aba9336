"""The comparison with Capstone's reading notices every other instruction, and Keystone is asked in hex only."""

import re
from pathlib import Path

import pytest
from test_assembler_bytes import AMD64, ARM, I386, code_of

import arch
from asm import assembler, encodings
from asm.names import Names, Pool
from asm.operands import Instruction, Refused
from asm.readback import disassemble
from asm.source import parse

SAME = [("shl rax", "48d1f0"), ("ldr r0, [r1]", "000011e5")]
"""Flips that change nothing: the two encodings of a shift to the left; -0 for 0."""
TABLES = {"386": I386, "amd64": AMD64, "arm": ARM}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that Keystone is asked for; nothing is remembered from before."""
    monkeypatch.setattr(assembler, "_ENGINES", {})
    monkeypatch.setattr(encodings, "known", lambda _arch: {})
    texts: list[str] = []
    ask = assembler._Engine._ask

    def listen(self: assembler._Engine, insn: Instruction, address: int) -> bytes:
        texts.append(insn.text)
        return ask(self, insn, address)

    monkeypatch.setattr(assembler._Engine, "_ask", listen)
    return texts


def test_keystone_sees_hex_numbers_only(asked: list[str]) -> None:
    for name, table in TABLES.items():
        for text in table:
            code_of(name, text)
    assert len(asked) > 100
    assert not [text for text in asked if re.search(r"(?<![\w.(])\d(?!x)", text)]


@pytest.mark.parametrize("name", TABLES)
def test_another_instruction_of_the_table_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembler, "_ENGINES", {})
    engine = assembler._engine(arch.get(name))
    accepted = 0
    for text, code in TABLES[name].items():
        insn = _parsed(name, text)
        for other in set(TABLES[name].values()) - {code}:
            assert not _taken(engine, insn, other), f"{text} taken for {other}"
        accepted += _taken(engine, insn, code)
    assert accepted == len(TABLES[name])


@pytest.mark.parametrize("name", TABLES)
def test_a_flipped_bit_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flip is taken only where the CPU does the same with it."""
    monkeypatch.setattr(assembler, "_ENGINES", {})
    flips, taken = 0, []
    engine = assembler._engine(arch.get(name))
    for text, code in TABLES[name].items():
        insn, right = _parsed(name, text), int.from_bytes(bytes.fromhex(code), "little")
        for bit in range(4 * len(code)):
            flipped = (right ^ 1 << bit).to_bytes(len(code) // 2, "little").hex()
            flips += 1
            if _taken(engine, insn, flipped) and _read(name, flipped) != _read(name, code):
                taken.append((text, flipped))
    assert flips > 500
    assert [pair for pair in taken if pair not in SAME] == []


def _parsed(name: str, text: str) -> Instruction:
    names = Names({}, {})
    statement = parse(text, "t.s", arch.get(name))[0]
    names.stand(0x10000, "", statement, Pool(statement))
    return assembler._engine(arch.get(name)).isa.parse(text, names)._replace(code=b"")


def _read(name: str, code: str) -> str:
    """The instruction in Capstone's words."""
    return next(iter(disassemble(arch.get(name), bytes.fromhex(code), 0x10000)))[2]


def _taken(engine: assembler._Engine, insn: Instruction, code: str) -> bool:
    """Whether the check lets ``code`` pass for the instruction."""
    try:
        engine._encode(insn._replace(code=bytes.fromhex(code)), 0x10000)
    except Refused:
        return False
    return True


def test_each_engine_has_one_door() -> None:
    top = Path(assembler.__file__).parent.parent
    found = {
        (engine, path.relative_to(top).as_posix())
        for folder in ("arch", "asm", "emu")
        for path in (top / folder).rglob("*.py")
        for engine in re.findall(r"^\s*(?:import|from) (keystone|capstone)\b", path.read_text(encoding="utf-8"), re.M)
    }
    assert found == {("keystone", "asm/assembler.py"), ("capstone", "asm/readback.py")}
