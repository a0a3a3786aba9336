"""The pytest plugin: fixtures `stackcarry` and `stackcarry_golden`, one arch at a time, and goldens beside the tests.

pytest loads it by itself (entry point ``pytest11``). What runs machines is imported when a test first asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import arch as arches
from emu.suite import goldens

if TYPE_CHECKING:
    from emu.suite.fixture import Suite

_ACCOUNT = pytest.StashKey[goldens.Account]()
_KEY = "stackcarry_goldens"  # in what a worker sends


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the command line."""
    group = parser.getgroup("stackcarry", "stack-switching assembly")
    group.addoption(
        "--stackcarry-arch", action="append", choices=[*arches.ARCHES], metavar="ARCH",
        help=f"run tests of assembly on this arch only ({', '.join(arches.ARCHES)}); may be repeated",
    )
    group.addoption("--stackcarry-update", action="store_true", help="write the goldens as they are now")


def pytest_configure(config: pytest.Config) -> None:
    """Markers, and the account of goldens with what the command line leaves out."""
    for name in arches.ARCHES:
        config.addinivalue_line("markers", f"{name}: runs on {name}")
    config.addinivalue_line("markers", "stackcarry(*arches): the arches that a test of assembly is for; all by default")
    account = config.stash[_ACCOUNT] = goldens.Account()
    chosen = (argument.partition("::") for argument in config.args)
    here = config.invocation_params.dir
    account.partial |= {str((here / file).resolve()) for file, colons, _ in chosen if colons}
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reporter(config), "stackcarry-goldens")


# one arch at a time


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES])
def stackcarry_arch(request: pytest.FixtureRequest) -> str:
    """An arch by its Go name: a test that asks for it runs once on each."""
    name: str = request.param
    return name


@pytest.fixture
def stackcarry_golden(request: pytest.FixtureRequest) -> goldens.Golden:
    """Call it with a text: it must be as it was when ``--stackcarry-update`` last wrote it."""
    test = ".".join(request.node.nodeid.split("::")[1:])
    config = request.config
    return goldens.Golden(config.stash[_ACCOUNT], request.path, test, config.option.stackcarry_update)


@pytest.fixture
def stackcarry(
    request: pytest.FixtureRequest, stackcarry_arch: str, stackcarry_golden: goldens.Golden
) -> Suite:
    """Places assembly of one arch on a machine: see `emu.suite.fixture.Suite`."""
    from emu.suite.fixture import Suite

    return Suite(stackcarry_arch, request.path.parent, stackcarry_golden)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a test's marker excludes (it does not exist there), and what ``--stackcarry-arch`` does."""
    items[:] = [item for item in items if _arch(item) is None or _arch(item) in _made_for(item)]
    wanted = config.option.stackcarry_arch
    left_out = [item for item in items if wanted and _arch(item) not in (None, *wanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _arch(item: pytest.Item) -> str | None:
    """The arch that a test of assembly runs on; None for other tests."""
    callspec = getattr(item, "callspec", None)
    name: str | None = callspec.params.get("stackcarry_arch") if callspec else None
    return name


def _made_for(item: pytest.Item) -> tuple[str, ...]:
    marker = item.get_closest_marker("stackcarry")
    if marker is None:
        return tuple(arches.ARCHES)
    unknown = [name for name in marker.args if name not in arches.ARCHES]
    if unknown or not marker.args:
        raise pytest.UsageError(f"{item.nodeid}: mark it stackcarry(ARCH, …) with {', '.join(arches.ARCHES)}")
    return marker.args


# which goldens are used


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> None:
    """Note the goldens of every directory that is searched for tests."""
    if collection_path.name == goldens.FOLDER and collection_path.is_dir():
        config.stash[_ACCOUNT].folders.add(str(collection_path))


def pytest_deselected(items: list[pytest.Item]) -> None:
    """A test file of which some tests were not chosen."""
    for item in items:
        item.config.stash[_ACCOUNT].partial.add(str(item.path))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note the tests that may use goldens, of every test file that has tests."""
    tests = session.config.stash[_ACCOUNT].tests
    for item in session.items:
        of_file = tests.setdefault(str(item.path), set())
        if "stackcarry_golden" in getattr(item, "fixturenames", ()):
            of_file.add(item.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker sends its account to the process that reports."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_KEY] = session.config.stash[_ACCOUNT].pack()


class _Reporter:
    """In the process that reports: adds up the accounts, and fails a whole run that left goldens unused."""

    def __init__(self, config: pytest.Config) -> None:
        self._account = config.stash[_ACCOUNT]
        self._update = config.option.stackcarry_update
        self._whole = not (config.option.collectonly or config.getoption("lf", False))
        self._passed: set[str] = set()
        self._unused: list[Path] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        output = getattr(node, "workeroutput", {})
        if error or _KEY not in output:
            self._whole = False
        else:
            self._account.add(output[_KEY])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        self._unused = self._account.unused(self._passed) if self._whole and finished else []
        if self._unused and self._update:
            goldens.remove(self._unused)
        elif self._unused:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._unused:
            return
        what = "removed" if self._update else "no test used them; --stackcarry-update removes them"
        terminalreporter.section(f"unused goldens: {what}")
        for path in self._unused:
            terminalreporter.write_line(str(path))
