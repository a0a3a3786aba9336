"""Assembly in a child process: the same programs, the same errors, and an end to whatever hangs or dies."""

import sys
import time

import pytest

import arch
from asm import sandbox
from asm.assembler import AsmError, assemble
from asm.sandbox import assemble_untrusted
from asm.source import parse

AMD64, ARM = arch.get("amd64"), arch.get("arm")


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (AMD64, "f: mov rax, qword ptr [rbx + g.sched.sp]\n call out\n.align 8\ng: .asciz \"x\"\n"),
        (ARM, "f: ldr r0, =g.sched.sp\n bl out\n"),
        (ARM, ""),
    ],
)  # fmt: skip
def test_the_child_makes_the_same_program(record: arch.Arch, text: str) -> None:
    names, gates = {"g.sched.sp": 56}, {"out": 0x20000}
    here = assemble(parse(text, "t.s", record), record, base=0x10000, names=names, gates=gates)
    assert assemble_untrusted(text, "t.s", record, 0x10000, names, gates) == here


def test_the_child_gives_the_same_errors() -> None:
    text = "nop\nmov eax, nothing\n"
    with pytest.raises(AsmError) as here:
        assemble(parse(text, "t.s", AMD64), AMD64, base=0)
    with pytest.raises(AsmError) as there:
        assemble_untrusted(text, "t.s", AMD64, 0)
    assert str(there.value) == str(here.value)
    assert (there.value.file, there.value.line) == ("t.s", 2)


def test_text_that_is_no_text_is_an_error() -> None:
    with pytest.raises(AsmError, match="printable ASCII"):
        assemble_untrusted("nop \ud800", "t.s", AMD64, 0)


def test_a_child_that_takes_too_long_is_ended() -> None:
    text = "\n".join(f"mov eax, {n}" for n in range(90_000))
    start = time.monotonic()
    with pytest.raises(AsmError, match=r"t\.s:\d+: .*the assembler was not done after 1.5 seconds"):
        assemble_untrusted(text, "t.s", AMD64, 0, seconds=1.5)
    assert time.monotonic() - start < 60


AT = '{"kind": "at", "file": "t.s", "line": 7, "text": "frob"}'


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"print('{AT}', flush=True); import os; os._exit(1)", r"t\.s:7: 'frob': the assembler died \(exit code 1\)"),
        (f"print('{AT}', flush=True); import os; os.abort()", r"t\.s:7: 'frob': the assembler died \(exit code -6\)"),
        (f"print('{AT}', flush=True); import time; time.sleep(60)", r"t\.s:7: 'frob': .* not done after 6 seconds"),
        (f'print(\'{AT}\\n{{"kind": "pro\', flush=True)', r"t\.s:7: 'frob': the assembler died"),
        ("pass", r"t\.s:0: the assembler died \(exit code 0\)"),
    ],
)
def test_the_statement_it_died_on_is_named(script: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-c", script))
    with pytest.raises(AsmError, match=message):
        assemble_untrusted("nop", "t.s", AMD64, 0, seconds=6)


def test_the_child_has_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from asm import sandbox; sandbox._limit(); bytearray(4 << 30)"
    monkeypatch.setattr(sandbox, "COMMAND", (sys.executable, "-c", script))
    with pytest.raises(AsmError, match=r"the assembler died \(exit code 1\)"):
        assemble_untrusted("nop", "t.s", AMD64, 0)
