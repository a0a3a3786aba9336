"""Fixtures that several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import teeth_report
import toolchain
from sweep import report as sweep_table


@pytest.fixture(scope="session", params=toolchain.VERSIONS, ids=lambda version: f"go-{version}")
def go_version(request: pytest.FixtureRequest) -> str:
    """A Go toolchain of `toolchain.VERSIONS`: what a test asks for once runs with each."""
    version: str = request.param
    return version


@pytest.fixture(
    scope="session", params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in toolchain.GOARCHES]
)
def goarch(request: pytest.FixtureRequest) -> str:
    """An architecture by its Go name."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def go_binary(go_version: str, goarch: str) -> Path:
    """The executable of tests/goprog, built by each toolchain for each architecture."""
    return toolchain.build(go_version, goarch, toolchain.PROGRAM)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The tables of changed instructions, if they were made."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    tables = (
        (sweep_table.PROPERTY, "changes of one instruction: killed/tried", sweep_table.lines),
        (teeth_report.PROPERTY, "changes of one instruction in whole programs: what noticed them", teeth_report.lines),
    )
    for wanted, title, lines in tables:
        found = [value for report in reports for name, value in report.user_properties if name == wanted]
        if found:
            terminalreporter.section(title)
            for line in lines(found):
                terminalreporter.write_line(line)
