"""`diff A B`: two columns, the lists below them, JSON lines, exit codes, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runner import Run


@pytest.fixture
def made(run: Run, tmp_path: Path) -> dict[str, str]:
    """Traces by name."""
    words = {
        "amd64": ("mcall", "--arch", "amd64"), "arm": ("mcall", "--arch", "arm"), "386": ("mcall", "--arch", "386"),
        "2017": ("mcall", "--arch", "386", "--era", "2017"), "g0": ("mcall", "--arch", "386", "--scene", "on g0"),
    }
    for name, given in words.items():
        assert run("trace", *given, "-o", str(tmp_path / name)).code == 0
    return {name: str(tmp_path / name) for name in words}


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_two_arches(run: Run, made: dict[str, str]) -> None:
    ran = run("diff", made["amd64"], made["arm"])
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"A  {made['amd64']}: mcall, switch; amd64, era modern, modern: " + (
        "ended at badmcall2, its contract holds"
    )
    pc = next(line for line in lines if line.count("save: g.sched.pc ← return PC") == 2)
    assert pc.split() == [
        *"4 mcall+0xc save: g.sched.pc ← return PC".split(), *"1 mcall+0x4 save: g.sched.pc ← return PC".split(),
    ]
    assert "8 mcall+0x1d save: g.sched.bp ← frame pointer <" in [" ".join(line.split()) for line in lines]
    a, b = (lines.index(title) for title in ("A carries, B does not:", "B carries, A does not:"))
    assert "  save: g.sched.bp ← frame pointer  (step 8, mcall+0x1d); no frame pointer on arm" in lines[a:b]
    assert "  clear: g.sched.lr ← 0  (step 3, mcall+0xc); no link register on amd64" in lines[b:]
    assert lines[-1] == "9 carried alike, 5 not; 5 of them the other has no place for"


def test_what_both_have_a_place_for(run: Run, made: dict[str, str]) -> None:
    ran = run("diff", "--shared", made["amd64"], made["arm"])
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "no difference in meaning: 9 carried alike"
    assert run("diff", "--shared", made["386"], made["2017"]).code == 1


@pytest.mark.parametrize("options", [(), ("--rows",), ("--json",), ("--rows", "--json")])
def test_no_difference(run: Run, made: dict[str, str], options: tuple[str, ...]) -> None:
    ran = run("diff", *options, made["arm"], made["arm"])
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == run("diff", *options, made["arm"], made["arm"]).out


def test_json(run: Run, made: dict[str, str]) -> None:
    ran = run("diff", "--json", made["2017"], made["386"])
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 1
    assert [(r["run"], r["arch"], r["go"]) for r in records if r["kind"] == "run"] == [
        ("A", "386", "2017"), ("B", "386", "modern"),
    ]
    effects = [r for r in records if r["kind"] == "effect"]
    assert [(r["mark"], r["a"]["place"], r["a"]["source"], r["b"]) for r in effects if r["mark"] != "="] == [
        ("<", "g.sched.g", "g", None),
    ]
    assert effects[0]["a"] == {
        "does": "save", "place": "g.sched.pc", "source": "return PC", "step": 4, "at": "mcall+0x11",
    }
    assert records[-1] == {"kind": "summary", "same": len(effects) - 1, "different": 1}


def test_rows(run: Run, made: dict[str, str]) -> None:
    ran = run("diff", "--rows", made["386"], made["g0"])
    assert (ran.code, ran.err) == (1, "")
    assert "different before step 0:" in ran.out
    assert "  esp: A 0x50006000, B 0x5000e000" in ran.out.splitlines()
    assert "  [TLS.g]: A 0x50001520, B 0x500017e0" in ran.out.splitlines()
    record = json.loads(run("diff", "--rows", "--json", made["386"], made["g0"]).out.splitlines()[-1])
    assert (record["kind"], record["step"], record["ended"]) == ("difference", 0, None)
    assert record["registers"]["esp"] == ["0x50006000", "0x5000e000"]
    assert {"at": "TLS.g", "values": ["0x50001520", "0x500017e0"]}.items() <= record["memory"][0].items()


def test_rows_of_a_run_that_ends_early(run: Run, made: dict[str, str], tmp_path: Path) -> None:
    run("trace", "mcall", "--arch", "386", "--steps", "12", "-o", str(tmp_path / "short"))
    ran = run("diff", "--rows", made["386"], str(tmp_path / "short"))
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "B ends before step 12")


def test_rows_of_other_programs(run: Run, made: dict[str, str]) -> None:
    for other, what in (("arm", "architectures"), ("2017", "programs")):
        ran = run("diff", "--rows", made["386"], made[other])
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == (
            f"stackcarry: --rows compares runs of the same program: these have different {what}; leave --rows out\n"
        )
    assert run("diff", "--rows", "--shared", made["386"], made["386"]).code == 2


def test_damage_is_named_after_what_is_whole(run: Run, made: dict[str, str], tmp_path: Path) -> None:
    whole = run("diff", made["arm"], made["arm"]).out
    path = tmp_path / "damaged"
    path.write_bytes(Path(made["arm"]).read_bytes()[:-1])
    for options in ((), ("--rows",)):
        ran = run("diff", *options, made["arm"], str(path))
        assert ran.code == 2
        assert ran.err.startswith(f"stackcarry: {path}: damaged at byte 0x")
    assert run("diff", made["arm"], str(path)).out == whole.replace(f"B  {made['arm']}", f"B  {path}")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93stackcarry\r\n\x1a\n\0"])
def test_what_is_no_trace(run: Run, made: dict[str, str], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    for pair in ((made["arm"], str(path)), (str(path), made["arm"])):
        ran = run("diff", *pair)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"stackcarry: {path}: ")
        assert len(ran.err.splitlines()) == 1


def test_files_that_cannot_be(run: Run, made: dict[str, str], tmp_path: Path) -> None:
    ran = run("diff", made["arm"], str(tmp_path / "nowhere"))
    assert (ran.code, ran.err) == (2, f"stackcarry: {tmp_path / 'nowhere'}: No such file or directory\n")


def test_the_examples_of_the_help(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = [line.split() for line in run("diff", "--help").out.splitlines() if line.startswith("  stackcarry ")]
    assert [run(*words[1:]).code for words in examples] == [0, 0, 1, 0]
