"""The guests' small compiler: which locals share a slot, what is merged, what the words compute."""

from __future__ import annotations

import pytest

import arch as arches
from arch import golang
from asm.compiler import compile_text
from asm.guests import Function
from asm.statement import AsmError
from emu import target as targets
from emu.session import Session

AMD64 = arches.get("amd64")


def slots(body: str, head: str = "func f(a, b) (r):", **options: bool) -> dict[str, int]:
    (function,) = compile_text(f"{head}\n{body}", AMD64, **options)
    return dict(function.locals)


def test_a_slot_is_free_after_the_last_use() -> None:
    body = "x = a\n y = x + 1\n z = y + 1\n r = z"
    assert slots(body) == {"x": 0, "y": 0, "z": 0}
    assert slots(body, reuse=False) == {"x": 0, "y": 1, "z": 2}


def test_locals_that_are_needed_together_have_slots_of_their_own() -> None:
    assert slots("x = a\n y = b\n r = x + y") == {"x": 0, "y": 1}


def test_the_other_branch_may_have_the_slot() -> None:
    """What is needed on one side only is dead on the other."""
    body = "keep = a\n if b goto .one\n other = 5\n r = other\n return\n .one:\n r = keep"
    assert slots(body) == {"keep": 0, "other": 0}


def test_a_loop_needs_what_its_next_turn_needs() -> None:
    body = "i = a\n n = b\n .next:\n t = n + 1\n n = t\n i = i + -1\n if i goto .next\n r = n"
    found = slots(body)
    assert found["i"] not in (found["n"], found["t"])


def test_what_is_pointed_to_is_never_shared() -> None:
    found = slots("f2(&x)\n y = a\n r = y\n var x[16]", "func f(a, b) (r):")
    assert found == {"x": 1, "y": 3}
    assert slots("x = a\n f2(&x)\n y = b\n r = y") == {"x": 1, "y": 2}


def test_results_of_one_call_do_not_share() -> None:
    assert slots("x, y = g()\n r = 1") == {"x": 2, "y": 3}


TEXT = """
func outer(a) (r):
    keep = a + 100          # a local that the callee's may not touch
    x = inner(a)
    r = keep + x

func inner(n) (sum):
    sum = 0
    unless n goto .return
    i = n
.next:
    s = sum
    sum = s + i
    i = i + -1
    if i goto .next
"""


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
@pytest.mark.parametrize("reuse", [True, False])
def test_what_is_compiled_computes(era: str, arch: str, reuse: bool) -> None:
    kept = TEXT.replace("func inner", "noinline func inner")
    for text, count in ((TEXT, 1), (kept, 2)):
        functions = compile_text(text, arches.get(arch), reuse=reuse)
        assert len(functions) == count
        session = Session(targets.of_era(era, arch), functions)
        goroutines = [session.go("outer", n) for n in (0, 1, 6)]
        session.run()
        assert [goroutine.results for goroutine in goroutines] == [(100,), (102,), (127,)]


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_ints_of_a_declared_local(arch: str) -> None:
    text = "func f() (x, y):\n fill(&pair)\n x = pair[0]\n y = pair[1]\n var pair[8]"
    session = Session(targets.of_era("2017", arch), compile_text(text, arches.get(arch)))

    @session.gate("fill")
    def fill(session: Session) -> None:
        session.process.write(session.argument(0), (7).to_bytes(4, "little") + (-9).to_bytes(4, "little", signed=True))

    goroutine = session.go("f")
    session.run()
    assert [session.arch.signed(result) for result in goroutine.results] == [7, -9]


def test_who_is_merged() -> None:
    def names(text: str) -> list[str]:
        return [function.name for function in compile_text(text, AMD64)]

    assert names("func f():\n g()\nfunc g():\n h()\nfunc h():\n k()") == ["f"]
    assert names("func f():\n g()\n g()\nfunc g():\n return") == ["f", "g"]
    assert names("func f():\n g()\nnoinline func g():\n return") == ["f", "g"]
    assert names("func f():\n f()") == ["f"]
    assert names("func f():\n g()\nfunc g():\n f()") == ["f"]


def test_merged_locals_are_named_after_their_function() -> None:
    (function,) = compile_text(TEXT, AMD64)
    assert {name for name, _ in function.locals} == {"keep", "x", "inner.n", "inner.sum", "inner.i", "inner.s"}


def test_marks_and_sizes() -> None:
    first, second = compile_text("nosplit noinline func f(a) (b):\n b = a\nfunc g():\n f(1)\n f(2)", AMD64)
    assert (first.nosplit, first.args, first.slots) == (True, 2, 0)
    assert isinstance(second, Function)
    assert (second.nosplit, second.args, second.slots) == (False, 0, 1)


@pytest.mark.parametrize("text", ["x = 1", "func f():\n x == 1", "func f():\n x = f(1\n"])
def test_what_is_no_statement(text: str) -> None:
    with pytest.raises(AsmError, match="no statement"):
        compile_text(text, AMD64)


def test_a_label_that_is_nowhere() -> None:
    with pytest.raises(AsmError, match=r"no label \.away"):
        compile_text("func f():\n goto .away", AMD64)


def test_a_merged_call_must_fit() -> None:
    with pytest.raises(AsmError, match="1 arguments for 0 results"):
        compile_text("func f():\n g(1)\nfunc g(a, b):\n return", AMD64)
