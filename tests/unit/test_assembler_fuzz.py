"""Generated statements: right ones survive a round trip, broken ones give a program or an AsmError, nothing else."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from assembler_statements import RIGHT, broken
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import arch
from asm.assembler import AsmError, assemble
from asm.program import Program
from asm.readback import disassemble
from asm.sandbox import assemble_untrusted
from asm.source import parse

T = TypeVar("T")
BASE = 0x100000
each = pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arch.ARCHES])
profile = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def code_of(name: str, text: str) -> bytes:
    record = arch.get(name)
    return b"".join(segment.data for segment in assemble(parse(text, "t.s", record), record, base=BASE).segments)


def tried(make: Callable[[str], T], text: str) -> T | AsmError:
    """What ``make`` gives or the AsmError that it raises; whatever else it raises fails the test."""
    try:
        return make(text)
    except AsmError as refusal:
        return refusal


@each
@settings(profile, max_examples=300)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    """What Capstone reads out of the bytes assembles to the same bytes."""
    text = data.draw(RIGHT[name])
    code = code_of(name, text)
    rows = list(disassemble(arch.get(name), code, BASE))
    assert [row[1] for row in rows] == [code]
    assert code_of(name, rows[0][2]) == code


@each
@settings(profile, max_examples=400)
@given(data=st.data())
def test_broken_statements(name: str, data: st.DataObject) -> None:
    outcome = tried(lambda text: code_of(name, text), data.draw(broken(name)))
    assert isinstance(outcome, bytes) or (outcome.file == "t.s" and outcome.line >= 1)


@each
@settings(profile, max_examples=12)
@given(data=st.data())
def test_broken_statements_in_the_child(name: str, data: st.DataObject) -> None:
    outcome = tried(lambda text: assemble_untrusted(text, "t.s", arch.get(name), BASE), data.draw(broken(name)))
    if isinstance(outcome, AsmError):
        assert "the assembler" not in outcome.message  # died, or was not done
    else:
        assert isinstance(outcome, Program)
        assert outcome.arch == name
