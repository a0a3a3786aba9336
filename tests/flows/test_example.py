"""Goroutines, a gate, a system call and a policy in a few lines: the same on every era and architecture."""

from __future__ import annotations

import pytest

import arch as arches
from arch import golang

EXAMPLE = '''
import random
from emu import Function, Session, of_era

player = Function("player", args=1, slots=3, body="""
.turn:
    argument 0; if_zero .done
    put 0; invoke hit                   // Python hears of each turn
    invoke gosched                      // mcall to the scheduler, gogo back
    argument 0; plus_constant -1; set_argument 0
    goto .turn
.done:
    system_call SYS_getpid; put 0; invoke hit
""")
session = Session(of_era("modern", "arm"), [player])

@session.gate("hit")
def hit(session):
    print(session.current.name, session.argument(0))

@session.syscall("getpid")
def getpid(thread):
    return 42

session.policy = random.Random(1).choice
session.go("player", 3, name="ping")
session.go("player", 3, name="pong")
session.run()
'''

PRINTED = """\
ping 3
pong 3
pong 2
ping 2
ping 1
ping 42
pong 1
pong 42
"""


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
def test_the_example_prints_the_same_everywhere(era: str, arch: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLE.replace('"modern", "arm"', f'"{era}", "{arch}"'), "example", "exec"), {})
    assert capsys.readouterr().out == PRINTED
