"""Packages of the standard library pass their tests under `stackcarry run`, and the table tells when they do not."""

from __future__ import annotations

import pytest

from . import causes, table
from .packages import HOST, OURS, PACKAGES, QEMU, QUICK, Job
from .running import UNFINISHED, WHOLE, Ran, name, outcomes, run

SECONDS = 60  # of CPU: many times what any of these needs


@pytest.mark.parametrize("package", QUICK)
def test_a_package_passes(package: str, goarch: str) -> None:
    job = Job(package, goarch, short=True)
    commands = job.commands()
    wanted = [runner for runner in (OURS, HOST if HOST in commands else QEMU) if runner in commands]
    runs = {runner: run(commands[runner], job.folder, job.environment(), SECONDS) for runner in wanted}
    ours = runs[OURS]
    assert (ours.code, ours.failing()) == (0, []), ours.words
    assert ours.count("pass") > 0
    assert ours.summary["broken"] == 0
    for routine in ("mcall", "gogo", "systemstack"):
        assert ours.summary["crossings"][routine] > 0
    passed = [ran.passing() for ran in runs.values()]
    told = table.row(job, runs, causes.known()).failures
    skipped = {name(bad.test) for bad in told if bad.outcome == "skip" and bad.why != table.UNKNOWN}
    only_elsewhere = set().union(*passed) - passed[0]
    left_out = {test for test in only_elsewhere if skipped.isdisjoint({test, test.split("/")[0]})}
    assert not left_out, "what passes elsewhere passes here, and is not left out"


SAID = """\
\x16=== RUN   TestGood
\x16--- PASS: TestGood (0.00s)
\x16=== RUN   TestLater
\x16=== PAUSE TestLater
\x16=== RUN   TestParts
\x16=== RUN   TestParts/one
\x16=== RUN   TestParts/two
\x16--- FAIL: TestParts (0.01s)
\x16    --- PASS: TestParts/one (0.00s)
\x16    --- FAIL: TestParts/two (0.01s)
\x16=== RUN   TestHangs
""".splitlines()


def test_a_test_that_never_ended_has_failed() -> None:
    found = outcomes(SAID)
    assert found["TestHangs"] == UNFINISHED
    assert "TestLater" not in found
    ran = Ran(-9, 1.0, found, ())
    assert ran.died
    assert ran.failing() == ["TestHangs", "TestParts/two"]
    assert [ran.count(outcome) for outcome in ("pass", "fail", "skip")] == [2, 3, 0]


def test_a_binary_that_dies_between_its_tests_has_failed() -> None:
    ran = Ran(2, 1.0, {"TestGood": "pass"}, ("panic: nobody knows",))
    assert ran.died
    assert ran.failing() == [WHOLE]


def test_only_tests_with_a_known_cause_have_one() -> None:
    known = [causes.Cause("sort", ("Test[AC]*", "TestGone"), ("arm",), "a reason")]
    bad = Ran(1, 2.0, {"TestAB": "fail", "TestB": "fail", "TestC": "skip", "TestD": "skip"}, ())
    other = Ran(1, 1.0, {"TestAB": "fail", "TestB": "pass", "TestC": "pass", "TestD": "skip"}, ())
    row = table.row(Job("sort", "arm", short=False), {OURS: bad, QEMU: other}, known)
    assert [(one.test, one.outcome, one.why, one.elsewhere) for one in row.failures] == [
        ("TestAB", "fail", "a reason", (QEMU,)), ("TestB", "fail", table.UNKNOWN, ()),
        ("TestC", "skip", table.UNKNOWN, ()),
    ]  # fmt: skip
    assert "| sort | arm | TestAB | fail | QEMU | a reason |" in table.markdown([row], "").splitlines()
    assert list(table.totals([row])) == ["arm: 0 of 1 packages whole, median ratio to QEMU's CPU time -"]
    assert list(causes.stale(known, "sort", "arm", bad.failing())) == ["TestGone"]
    assert list(causes.stale(known, "sort", "386", [])) == []


def test_every_cause_is_of_a_package_that_is_run() -> None:
    assert {one.package for one in causes.known()} <= set(PACKAGES)
