"""`run`: a whole Go program under watch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from emu.commands.common import HOLDS, INTERRUPTED, colour_option

if TYPE_CHECKING:
    from emu.live.run import LiveRun
    from emu.live.tracing import Tracing

CANNOT, BROKEN, BUDGET = 125, 121, 124
_SIGNALS = 128
_DAY = 24 * 3600 * 10**9  # nanoseconds


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("program", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.option("--env", "environment", multiple=True, metavar="NAME[=VALUE]",
              help="Add to the guest's environment; a name alone has its value here.")
@click.option("--dir", "folders", multiple=True, metavar="HOST[:GUEST]",
              help="Show the guest a folder, at the same path or at GUEST; what it writes there is kept in memory.")
@click.option("--module", is_flag=True, help="Show the Go module around this folder, as a `go test` or `go run` needs.")
@click.option("--out", "outs", multiple=True, metavar="GUEST[:HOST]",
              help="Save what the guest wrote at a path, here or at HOST, when it has ended.")
@click.option("--ncpu", default=2, show_default=True, type=click.IntRange(1, 64), help="CPUs the guest is told of.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another seed, another schedule.")
@click.option("--slice", "turn", default=20_000, show_default=True, type=click.IntRange(10),
              help="Most blocks in a turn.")
@click.option("--steps", default=20_000_000_000, type=click.IntRange(1), help="Budget, in blocks of instructions.")
@click.option("--time", "days", default=7.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Most virtual time, in days; a program that is stuck wakes for ever.")
@click.option("--memory", default=2048, show_default=True, type=click.IntRange(64),
              help="Most memory of all processes together, in MiB; each costs this host up to 50 MiB more.")
@click.option("--no-check", is_flag=True, help="Run without looking at crossings.")
@click.option("--keep-going", is_flag=True, help="Collect broken contracts instead of ending at the first.")
@click.option("--error-exitcode", default=BROKEN, show_default=True, type=click.IntRange(0, 255),
              help="Exit code when a contract broke.")
@click.option("--summary", is_flag=True, help="Say at the end, on standard error, what was seen.")
@click.option("--storm", is_flag=True, help="One run for each instruction of the trampolines, SIGURG delivered there.")
@click.option("--trace", "file", type=click.Path(), help="Write a trace of the run, for `view` and `export`.")
@click.option("--trace-only", "only", multiple=True, metavar="SYMBOL",
              help="Trace this function instead of the trampolines; may be repeated; `all`: every instruction.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON lines, on standard error.")
@colour_option
def run(
    program: str, arguments: tuple[str, ...], environment: tuple[str, ...], folders: tuple[str, ...], module: bool,
    outs: tuple[str, ...], ncpu: int, seed: int, turn: int, steps: int,
    days: float, memory: int, no_check: bool, keep_going: bool, error_exitcode: int, summary: bool, storm: bool,
    file: str | None, only: tuple[str, ...], as_json: bool, colour: bool | None,
) -> None:
    """Run a static Go program (Go 1.21 to 1.27; 386, amd64, arm), its threads and children included.

    At each crossing of mcall, gogo, morestack, systemstack and the like their contracts are checked. Input and
    outputs are this command's; the exit code is the program's own, 121 if a contract broke, 124 when the budget is
    spent, 125 if it cannot be run, 128+n if signal n ended it.

    The guest sees no file of this host but its program and what --dir and --module give it to read; none is written
    but what --out names, and with --module the profiles that a test binary's flags name.

    \b
    stackcarry run ./program arg
    stackcarry run --dir . --out result ./program
    stackcarry run --summary --seed 7 ./program
    stackcarry run --trace run.trace --trace-only runtime.mcall ./program
    """
    from asm.elf import ElfError
    from emu.commands.folders import environment as settings_of
    from emu.commands.folders import files
    from emu.kernel.errors import Refused
    from emu.live.files import save
    from emu.live.loop import Limits
    from emu.live.outside import handed
    from emu.live.run import LiveRun, Settings, open_program
    from emu.views import live as view

    if storm and outs:
        raise click.UsageError("--storm makes many runs, which save nothing: it does not go with --out")
    if (only and file is None) or (storm and file is not None):
        raise click.UsageError("--trace-only belongs to --trace, and --storm makes many runs, which leave no trace")
    seen = files(folders, outs, module, program, arguments)
    settings = Settings(
        environment=settings_of(environment, seen.start if module else None), ncpu=ncpu, checked=not no_check,
        keep_going=keep_going, files=seen,
        limits=Limits(blocks=steps, slice=turn, seed=seed, time=int(days * _DAY)), memory=memory << 20, host=True,
    )
    out = view.Report(as_json, colour)
    try:
        binary = open_program(program)
        if storm:
            from emu.live import storm as campaign

            with campaign.workers() as executor:
                well = out.storm(campaign.storm(binary, arguments, settings), executor)
            sys.exit(HOLDS if well else error_exitcode)
        live = LiveRun(binary, arguments, settings)
    except (ElfError, OSError) as error:
        out.refused(str(error))
        sys.exit(CANNOT)
    except Refused as error:
        out.refused(f"{program}: its arguments, environment or folders: {error}")
        sys.exit(CANNOT)
    if not no_check and live.watching is None:
        out.unchecked(live.unchecked)
    live.told = lambda broken: out.broken(live, broken)
    live.remarked = lambda path, why: out.unchecked(f"{path}: {why}")
    given = [("--dir", f"{host}:{path}") for host, path in seen.folders]
    given += [("--seed", str(seed)), ("--ncpu", str(ncpu)), ("--slice", str(turn))]
    given += [("--trace-only", symbol) for symbol in only]
    words = ["run", *(word for pair in given for word in pair), program, *arguments]
    trace = _tracing(live, file, only, words)
    try:
        with handed(live):
            ending = live.run()
    except KeyboardInterrupt:
        ending = None
    if trace is not None:
        trace.close(ending)
    if ending is not None:
        out.ending(live, ending)
    if summary:
        out.summary(live, ending)
    unsaved = list(save(live.kernel.main.task, seen))
    for problem in unsaved:
        out.refused(problem)
    code = _code(live.found, ending, error_exitcode)
    sys.exit(CANNOT if unsaved and not code else code)


def _tracing(live: LiveRun, file: str | None, only: tuple[str, ...], words: list[str]) -> Tracing | None:
    if file is None:
        return None
    from emu.live.tracing import Tracing
    from emu.trace.writer import to_file

    return Tracing(live, to_file(file), only, words)


def _code(found: object, ending: object, error_exitcode: int) -> int:
    from emu.live.loop import Ending

    if found:
        return error_exitcode
    if not isinstance(ending, Ending):
        return INTERRUPTED
    if ending.kind == "ended":
        signal = ending.status & 0x7F
        return _SIGNALS + signal if signal else ending.status >> 8 & 0xFF
    return BUDGET
