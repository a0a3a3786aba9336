"""The commands; what they do stands elsewhere. Heavy modules are imported inside the commands."""

from __future__ import annotations

import io
import os
import sys

import click

from emu.commands import diff, export, goexec, run, trace
from emu.commands.common import (
    ARCH,
    BAD_INPUT,
    CASE,
    ERA,
    FAILED,
    HOLDS,
    INTERRUPTED,
    NOTHING,
    ROUTINE,
    begin,
    colour_option,
    json_option,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stackcarry")
def cli() -> None:
    """Check how stack-switching assembly carries the stack pointer and the stack guard on 386, amd64 and arm."""


@cli.command()
@click.argument("routines", nargs=-1, type=ROUTINE, metavar="[ROUTINE]...")
@click.option("--era", "eras", multiple=True, type=ERA, help="2011, 2014, 2017, modern, or a release such as go1.9.")
@click.option("--arch", "arches", multiple=True, type=ARCH, help="386, amd64 or arm.")
@click.option("--elf", "files", multiple=True, type=click.Path(), help="Check the routines of a static Go binary.")
@click.option("--explain", is_flag=True, help="Show every carried value, the arches side by side.")
@json_option
@colour_option
def check(
    routines: tuple[str, ...], eras: tuple[str, ...], arches: tuple[str, ...], files: tuple[str, ...],
    explain: bool, as_json: bool, colour: bool | None,
) -> None:
    """Check routines against their contracts and print the matrix: routines x arches per era.

    With --elf a ROUTINE may be any function: its stack check is checked, and the hook in front of that.

    \b
    stackcarry check
    stackcarry check --era modern --arch arm mcall --explain
    stackcarry check --elf ./program
    stackcarry check --elf ./program main.main.func1
    """
    begin()
    from emu.check import check as check_target
    from emu.select import select

    selection = select(eras, arches, files, routines)
    if not selection:
        click.echo("nothing selected: none of the chosen eras and arches has such a routine", err=True)
        sys.exit(NOTHING)
    results = (result for target, names in selection for result in check_target(target, names))
    from emu.views.matrix import Summary, print_matrix

    if as_json:
        from emu.views.jsonlines import check_lines

        summary = Summary()
        for line in check_lines(results, summary):
            click.echo(line)
    else:
        from emu.views.console import console

        out, kept = console(colour), list(results)
        if explain:
            from emu.views.explain import print_explained

            print_explained(out, kept)
        summary = print_matrix(out, kept)
    sys.exit(FAILED if summary.failed else HOLDS if summary.checks else NOTHING)


@cli.command()
@click.argument("routine", type=ROUTINE)
@click.option("--arch", "arches", multiple=True, type=ARCH, help="386, amd64 or arm; all by default.")
@click.option("--era", type=ERA, help="An era or a release, modern by default; not with --elf.")
@click.option("--elf", "file", type=click.Path(), help="Show a function of a static Go binary.")
@colour_option
def show(routine: str, arches: tuple[str, ...], era: str | None, file: str | None, colour: bool | None) -> None:
    """Show a routine: the frame map of its file, its source with comments, address and bytes.

    \b
    stackcarry show morestack --arch amd64 --era 2017
    """
    begin()
    from emu.select import shown
    from emu.views.console import console
    from emu.views.listing import print_routine

    out = console(colour)
    for target, name in shown(routine, arches, era, file):
        print_routine(out, target, name)


@cli.command(name="list")
@click.argument("routines", nargs=-1, type=ROUTINE, metavar="[ROUTINE]...")
@json_option
@colour_option
def list_(routines: tuple[str, ...], as_json: bool, colour: bool | None) -> None:
    """List what exists: eras, arches, routines; with ROUTINE its scenes.

    \b
    stackcarry list
    stackcarry list mcall
    """
    begin()
    from emu.select import routine_name
    from emu.views.catalogue import print_catalogue, print_scenes

    names = [routine_name(name) for name in routines]
    if names:
        print_scenes(names, as_json, colour)
    else:
        print_catalogue(as_json, colour)


@cli.command(name="asm")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--arch", required=True, type=ARCH, help="386, amd64 or arm.")
@click.option("--era", type=ERA, help="Lets the text use this era's names, such as g.sched.sp and StackGuard.")
@click.option("--base", default="0x1000", show_default=True, help="Address of the first byte.")
@json_option
def asm_(file: str, arch: str, era: str | None, base: str, as_json: bool) -> None:
    """Assemble FILE (- for standard input) and print address, bytes and source.

    \b
    stackcarry asm switch.s --arch arm
    stackcarry asm trampoline.s --arch amd64 --era modern
    """
    from emu.select import assembled
    from emu.views.listing import print_program

    print_program(assembled(file, arch, era, base), as_json)


@cli.group()
def case() -> None:
    """Experiments from the runtime's history, each before and after a change."""


@case.command(name="list")
@json_option
@colour_option
def case_list(as_json: bool, colour: bool | None) -> None:
    """List the cases and their variants.

    \b
    stackcarry case list
    """
    from emu.views.cases import print_list

    print_list(as_json, colour)


@case.command(name="show")
@click.argument("name", type=CASE)
@colour_option
def case_show(name: str, colour: bool | None) -> None:
    """Tell a case's story: what happened, the variants and their commits, how their sources differ.

    \b
    stackcarry case show fork-guard
    """
    from emu import cases
    from emu.views.cases import chosen, print_story

    next(chosen([name], (), ()), None)  # refuses a name that is none
    print_story(cases.get(name), colour)


@case.command(name="run")
@click.argument("names", nargs=-1, type=CASE, metavar="[NAME]...")
@click.option("--arch", "arches", multiple=True, type=ARCH, help="386, amd64 or arm; all by default.")
@click.option("--variant", "variants", multiple=True, help="before, committed, …; all by default.")
@click.option("--schedule", default="", help="Replay this one interleaving of a case.")
@click.option("--explain", is_flag=True, help="Show all that each run found.")
@json_option
@colour_option
def case_run(
    names: tuple[str, ...], arches: tuple[str, ...], variants: tuple[str, ...], schedule: str, explain: bool,
    as_json: bool, colour: bool | None,
) -> None:
    """Run cases; the verdict of each cell is found by the run.

    Exits 0 when every one is as history says; with --schedule, when that interleaving holds.

    \b
    stackcarry case run vfork-frame --arch arm
    stackcarry case run gc-triple --arch amd64 --variant committed --schedule a24b9 --explain
    """
    begin()
    import arch as records
    from emu.cases.model import Cell
    from emu.select import arch_name
    from emu.views.cases import chosen, print_cells

    cells = list(chosen(names, [arch_name(name) for name in arches], variants, bool(schedule)))
    if not cells:
        click.echo("nothing selected: no case has such a variant on these architectures", err=True)
        sys.exit(NOTHING)
    found = (Cell(c, v, records.get(a), c.run(v, records.get(a), schedule), bool(schedule)) for c, v, a in cells)
    sys.exit(HOLDS if print_cells(found, as_json, colour, explain) else FAILED)


cli.add_command(run.run)
cli.add_command(goexec.go_exec)
cli.add_command(trace.trace)
cli.add_command(trace.view)
cli.add_command(export.export)
cli.add_command(diff.diff)


def main() -> None:
    """The command ``stackcarry``: bad input ends with one line on stderr and the exit code of its kind."""
    import gc
    import signal

    gc.set_threshold(200_000, 20, 50)  # a check makes many small records and little garbage
    gc.enable()
    from emu.errors import BadInput
    from emu.interrupt import INTERRUPT

    signal.signal(signal.SIGINT, INTERRUPT.handle)
    try:
        _check_output()
        cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(_own_error())
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except BadInput as error:
        click.echo(f"stackcarry: {error}", err=True)
        sys.exit(_own_error())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        sys.stdout = None  # nothing more can be written there, at exit neither
        click.echo(f"stackcarry: the output cannot be written: {error.strerror or error}", err=True)
        sys.exit(_own_error())


def script() -> None:
    """The console script. A whole program's world is not taken apart at the end: that takes a tenth of a short run."""
    try:
        main()
    except SystemExit as stop:
        if sys.argv[1:2] != ["run"] or not isinstance(stop.code, int):
            raise
        code = stop.code
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except OSError:
            code = run.CANNOT
        os._exit(code)


def _own_error() -> int:
    """The exit code of bad usage or input; `run` has one that a guest's own is not taken for."""
    return run.CANNOT if sys.argv[1:2] == ["run"] else BAD_INPUT


def _check_output() -> None:
    """Refuse a closed standard output, and let no character fail that a terminal's encoding lacks."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
