"""The plugin in test runs of its own: options, markers, goldens that are missing, changed, unused."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

import emu.suite.fixture  # noqa: F401  (once, and not again in every run inside this one)

pytest_plugins = "pytester"

HERE = Path(__file__).parent
TWO = """
TEXT = {"386": "f:\\n ret\\n", "amd64": "f:\\n ret\\n", "arm": "f:\\n bx lr\\n"}

def test_one(stackcarry):
    stackcarry.golden(stackcarry.assemble(TEXT, stacks={"main": 4096}).call("f").returned())

def test_two(stackcarry):
    stackcarry.golden(stackcarry.assemble(TEXT, stacks={"main": 4096}).call("f").returned(), name="again")
"""
FILES = {f"test_two-{arch}-again.txt" for arch in ("386", "amd64", "arm")} | {
    f"test_one-{arch}.txt" for arch in ("386", "amd64", "arm")
}


@pytest.fixture(autouse=True)
def _without_another(pytester: pytest.Pytester) -> None:
    """A plugin that has nothing to do here, and takes a while at the end of every run."""
    pytester.makeini("[pytest]\naddopts = -p no:hypothesispytest")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Path:
    """A folder with two tests of three arches, and their goldens."""
    pytester.makepyfile(test_it=TWO)
    pytester.runpytest("--stackcarry-update").assert_outcomes(passed=6)
    place = pytester.path / "goldens" / "test_it"
    assert {path.name for path in place.iterdir()} == FILES
    return place


def test_the_example(pytester: pytest.Pytester) -> None:
    for path in HERE.glob("swap.*.s"):
        (pytester.path / path.name).write_text(path.read_text())
    (pytester.path / "test_copied.py").write_text((HERE / "test_swap.py").read_text())  # its own name is loaded already
    pytester.runpytest("--stackcarry-update", "--strict-markers").assert_outcomes(passed=3)
    done = pytester.runpytest("-v")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines([f"*test_copied.py::test_swap?{arch}? PASSED*" for arch in ("386", "amd64", "arm")])
    source = pytester.path / "swap.amd64.s"
    right, wrong = ("pop     r13\n        pop     r12", "pop     r12\n        pop     r13")
    source.write_text(source.read_text().replace(right, wrong))
    done = pytester.runpytest()
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines([
        "E *AssertionError: swap on amd64: 2 of 8 checks failed",
        "*r12 at caller: expected r12.2 (*), at the entry of swap, found r13.2 (*) (step 10, swap+0x14: pop r12, *",
        "E *> *10 *swap+0x14 *pop r12 *r12=r13.2*",
    ])


@pytest.mark.usefixtures("suite")
def test_arches_by_option_marker_and_mark(pytester: pytest.Pytester) -> None:
    pytester.runpytest("--stackcarry-arch", "arm", "--stackcarry-arch=386").assert_outcomes(passed=4, deselected=2)
    pytester.runpytest("-m", "amd64", "--strict-markers").assert_outcomes(passed=2, deselected=4)
    done = pytester.runpytest_subprocess("--stackcarry-arch", "mips")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    pytester.makepyfile(test_some="""
        import pytest

        @pytest.mark.stackcarry("arm", "386")
        def test_some(stackcarry):
            assert stackcarry.arch.name != "amd64"

        def test_plain():
            pass
    """)
    pytester.runpytest("test_some.py").assert_outcomes(passed=3)
    pytester.runpytest("test_some.py", "--stackcarry-arch=amd64").assert_outcomes(passed=1, deselected=2)
    pytester.makepyfile(test_wrong="""
        import pytest

        @pytest.mark.stackcarry("mips")
        def test_some(stackcarry):
            pass
    """)
    done = pytester.runpytest_subprocess("test_wrong.py")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*test_wrong.py::test_some*: mark it stackcarry(ARCH, …) with 386, amd64, arm"])


def test_a_golden_that_is_missing_or_different(pytester: pytest.Pytester, suite: Path) -> None:
    (suite / "test_one-arm.txt").unlink()
    changed = suite / "test_two-386-again.txt"
    changed.write_text(changed.read_text().replace("ret", "nop"))
    done = pytester.runpytest()
    done.assert_outcomes(passed=4, failed=2)
    done.stdout.fnmatch_lines([
        "*there is no goldens/test_it/test_one-arm.txt yet; pytest --stackcarry-update writes it",
        "*not as in goldens/test_it/test_two-386-again.txt; pytest --stackcarry-update accepts what is now",
        "E *-f * nop *",
        "E *+f * ret *",
    ])
    pytester.runpytest("--stackcarry-update").assert_outcomes(passed=6)
    pytester.runpytest().assert_outcomes(passed=6)


@pytest.mark.parametrize("workers", [(), ("-n2", "--dist=load")], ids=["alone", "shared"])
def test_unused_goldens_fail_a_whole_run(pytester: pytest.Pytester, suite: Path, workers: tuple[str, ...]) -> None:
    gone = suite.parent / "test_gone"
    gone.mkdir()
    for path in (gone / "test_old.txt", suite / "test_three-arm.txt"):
        path.write_text("left over\n")
    done = pytester.runpytest_subprocess(*workers)
    done.assert_outcomes(passed=6)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines([
        "*unused goldens: no test used them; --stackcarry-update removes them*",
        "*goldens/test_gone/test_old.txt", "*goldens/test_it/test_three-arm.txt",
    ])
    done = pytester.runpytest_subprocess("--stackcarry-update", *workers)
    assert done.ret == pytest.ExitCode.OK
    assert {path.name for path in suite.parent.rglob("*.txt")} == FILES
    assert not gone.exists()
    assert pytester.runpytest_subprocess(*workers).ret == pytest.ExitCode.OK


@pytest.mark.parametrize("part", [
    ("-k", "one"), ("-m", "arm"), ("--stackcarry-arch=arm",), ("test_it.py::test_one",), ("--collect-only",),
    ("--deselect", "test_it.py::test_two"), ("test_other.py",), ("--setup-only",),
], ids=" ".join)
def test_a_part_of_the_tests_leaves_goldens_alone(
    pytester: pytest.Pytester, suite: Path, part: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_other="def test_one(): pass")
    (suite / "test_three-arm.txt").write_text("left over\n")
    assert pytester.runpytest(*part).ret == pytest.ExitCode.OK
    assert pytester.runpytest("--stackcarry-update", *part).ret == pytest.ExitCode.OK
    assert (suite / "test_three-arm.txt").exists()
    assert {path.name for path in suite.iterdir()} == FILES | {"test_three-arm.txt"}


def test_a_failure_leaves_its_file_s_goldens_alone(pytester: pytest.Pytester, suite: Path) -> None:
    """A test that failed early did not come to its golden: it is not unused."""
    pytester.makepyfile(test_it=TWO.replace("def test_two(stackcarry):", "def test_two(stackcarry):\n    assert False"))
    done = pytester.runpytest()
    done.assert_outcomes(passed=3, failed=3)
    done.stdout.no_fnmatch_line("*unused goldens*")
    pytester.runpytest("--last-failed", "--stackcarry-update").assert_outcomes(failed=3)
    assert {path.name for path in suite.iterdir()} == FILES


def test_one_golden_for_one_text(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_twice(stackcarry_golden):
            stackcarry_golden("a\\n")
            stackcarry_golden("b\\n")

        def test_names(stackcarry_golden):
            stackcarry_golden("a\\n", "a")
            stackcarry_golden("b\\n", "b")
    """)
    done = pytester.runpytest("--stackcarry-update")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*test_twice.txt is the golden of test_twice already: give this text a name of its own"])


def test_somebody_else_s_goldens(pytester: pytest.Pytester) -> None:
    """A project without goldens of ours keeps its folder of that name."""
    pytester.makepyfile(test_it="def test_one(): pass")
    other = pytester.mkdir("goldens")
    for folder in ("test_it", "pictures"):
        (other / folder).mkdir()
        (other / folder / "other.txt").write_text("other\n")
    assert pytester.runpytest("--stackcarry-update").ret == pytest.ExitCode.OK
    assert len(list(other.rglob("*.txt"))) == 2


def test_it_is_a_plugin_of_the_distribution() -> None:
    (found,) = entry_points(group="pytest11", name="stackcarry")
    assert found.value == "emu.pytest_plugin"


def test_the_engines_are_not_loaded_for_other_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_plain():
            assert not {"emu.engine", "keystone", "capstone", "numpy"} & set(sys.modules)
    """)
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)
