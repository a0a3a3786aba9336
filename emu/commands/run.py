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


def _settings(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or "\0" in text:
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--env")
        found[name] = value
    return found


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("program", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="Add to the guest's environment.")
@click.option("--ncpu", default=2, show_default=True, type=click.IntRange(1, 64), help="CPUs the guest is told of.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another seed, another schedule.")
@click.option("--slice", "turn", default=20_000, show_default=True, type=click.IntRange(10), help="Blocks in a turn.")
@click.option("--steps", default=20_000_000_000, type=click.IntRange(1), help="Budget, in blocks of instructions.")
@click.option("--time", "days", default=7.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Most virtual time, in days; a program that is stuck wakes for ever.")
@click.option("--memory", default=2048, show_default=True, type=click.IntRange(64), help="Most memory, in MiB.")
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
    program: str, arguments: tuple[str, ...], environment: tuple[str, ...], ncpu: int, seed: int, turn: int, steps: int,
    days: float, memory: int, no_check: bool, keep_going: bool, error_exitcode: int, summary: bool, storm: bool,
    file: str | None, only: tuple[str, ...], as_json: bool, colour: bool | None,
) -> None:
    """Run a static Go program (Go 1.21 to 1.27; 386, amd64, arm), its threads and children included.

    At each crossing of mcall, gogo, morestack, systemstack and the like their contracts are checked. Input and
    outputs are this command's; the exit code is the program's own, 121 if a contract broke, 124 when the budget is
    spent, 125 if it cannot be run, 128+n if signal n ended it.

    \b
    stackcarry run ./program arg
    stackcarry run --summary --seed 7 ./program
    stackcarry run --trace run.trace --trace-only runtime.mcall ./program
    """
    from asm.elf import ElfError
    from emu.live.loop import Limits
    from emu.live.run import LiveRun, Settings, open_program
    from emu.views import live as view

    if (only and file is None) or (storm and file is not None):
        raise click.UsageError("--trace-only belongs to --trace, and --storm makes many runs, which leave no trace")
    settings = Settings(
        environment=_settings(environment), ncpu=ncpu, checked=not no_check, keep_going=keep_going,
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
    except ElfError as error:
        out.refused(str(error))
        sys.exit(CANNOT)
    if not no_check and live.watching is None:
        out.unchecked(live.unchecked)
    live.told = lambda broken: out.broken(live, broken)
    given = (("--seed", seed), ("--ncpu", ncpu), ("--slice", turn), *(("--trace-only", symbol) for symbol in only))
    words = ["run", *(str(word) for pair in given for word in pair), program, *arguments]
    trace = _tracing(live, file, only, words)
    try:
        ending = live.run()
    except KeyboardInterrupt:
        ending = None
    if trace is not None:
        trace.close(ending)
    if ending is not None:
        out.ending(live, ending)
    if summary:
        out.summary(live, ending)
    sys.exit(_code(live.found, ending, error_exitcode))


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
