"""The commands; what they do stands elsewhere. Heavy modules are imported inside the commands."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import click

HOLDS, FAILED, BAD_INPUT, FAULTED, NOTHING, BUDGET, INTERRUPTED = 0, 1, 2, 3, 5, 124, 130

_colour = click.option("--color/--no-color", "colour", default=None, help="Force or forbid colour.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")


class Name(click.ParamType[str]):
    """One of the project's names, with shell completion; ``values`` is asked late to keep start-up short."""

    def __init__(self, name: str, values: Callable[[], list[str]]) -> None:
        self.name = name
        self._values = values

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(value) for value in self._values() if value.startswith(incomplete)]


def _arches() -> list[str]:
    import arch

    return list(arch.ARCHES)


def _eras() -> list[str]:
    from arch import golang

    return list(golang.ERAS)


def _routines() -> list[str]:
    from emu.select import routine_names

    return routine_names()


def _cases() -> list[str]:
    from emu import cases

    return cases.names()


def _remember() -> None:
    """What was assembled once need not be assembled by the next command."""
    from asm import encodings

    encodings.start()


def _begin() -> None:
    """What every command does that runs code of our own sources or of a binary."""
    _remember()
    _end_with_reader()


def _end_with_reader() -> None:
    """A reader that has seen enough (head) ends us as it ends others."""
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


ARCH, ERA, ROUTINE, CASE = Name("arch", _arches), Name("era", _eras), Name("routine", _routines), Name("case", _cases)


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
@_json
@_colour
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
    _begin()
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
@click.option("--arch", type=ARCH, help="386, amd64 or arm; read from the file with --elf.")
@click.option("--era", type=ERA, help="An era or a release, modern by default; not with --elf.")
@click.option("--elf", "file", type=click.Path(), help="Trace a function of a static Go binary, by symbol.")
@click.option("--scene", help="The entry state, by name; `stackcarry list ROUTINE` shows them.")
@click.option("--steps", default=10_000, show_default=True, type=click.IntRange(1), help="Budget, in instructions.")
@click.option("--schedule", help="Of a case that explores interleavings: the one to follow, as `case run` found it.")
@click.option("--variant", default="before", show_default=True, help="The case's variant, with --schedule.")
@_json
@_colour
def trace(
    routine: str, arch: str | None, era: str | None, file: str | None, scene: str | None, steps: int,
    schedule: str | None, variant: str, as_json: bool, colour: bool | None,
) -> None:
    """Single-step a routine: one line an instruction, with the stack SP is in and what the guard says.

    \b
    stackcarry trace mcall --arch arm
    stackcarry trace gogo --arch 386 --era 2011 --scene "nil g"
    stackcarry trace runtime.morestack --elf ./program
    stackcarry trace gc-triple --arch amd64 --variant committed --schedule a24b9
    """
    if schedule is not None:
        from emu.select import needed_arch
        from emu.views.cases import print_followed

        sys.exit(FAILED if print_followed(routine, variant, needed_arch(arch), schedule, as_json, colour) else HOLDS)
    _begin()
    from emu import freerun
    from emu.select import traced

    target, name = traced(routine, arch, era, file)
    run = freerun.trace(target, name, scene, steps)
    if as_json:
        from emu.views.steps import json_lines

        for line in json_lines(run):
            click.echo(line)
    else:
        from emu.views.console import console
        from emu.views.steps import step_line

        out = console(colour)
        for step in run.steps:
            out.print(step_line(run.world, step), soft_wrap=True)
        out.print(f"{run.scene}: {run.end}", style="bold", markup=False)
    sys.exit({"ended": HOLDS, "failed": FAILED, "fault": FAULTED, "budget": BUDGET}[run.outcome])


@cli.command()
@click.argument("routine", type=ROUTINE)
@click.option("--arch", "arches", multiple=True, type=ARCH, help="386, amd64 or arm; all by default.")
@click.option("--era", type=ERA, help="An era or a release, modern by default; not with --elf.")
@click.option("--elf", "file", type=click.Path(), help="Show a function of a static Go binary.")
@_colour
def show(routine: str, arches: tuple[str, ...], era: str | None, file: str | None, colour: bool | None) -> None:
    """Show a routine: the frame map of its file, its source with comments, address and bytes.

    \b
    stackcarry show morestack --arch amd64 --era 2017
    """
    _begin()
    from emu.select import shown
    from emu.views.console import console
    from emu.views.listing import print_routine

    out = console(colour)
    for target, name in shown(routine, arches, era, file):
        print_routine(out, target, name)


@cli.command(name="list")
@click.argument("routines", nargs=-1, type=ROUTINE, metavar="[ROUTINE]...")
@_json
@_colour
def list_(routines: tuple[str, ...], as_json: bool, colour: bool | None) -> None:
    """List what exists: eras, arches, routines; with ROUTINE its scenes.

    \b
    stackcarry list
    stackcarry list mcall
    """
    _begin()
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
@_json
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
@_json
@_colour
def case_list(as_json: bool, colour: bool | None) -> None:
    """List the cases and their variants."""
    from emu.views.cases import print_list

    print_list(as_json, colour)


@case.command(name="show")
@click.argument("name", type=CASE)
@_colour
def case_show(name: str, colour: bool | None) -> None:
    """Tell a case's story: what happened, the variants and their commits, how their sources differ."""
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
@_json
@_colour
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
    _begin()
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


def main() -> None:
    """The command ``stackcarry``: bad input ends with one line on stderr and the exit code of its kind."""
    import gc
    import signal

    gc.set_threshold(200_000, 20, 50)  # a check makes many small records and little garbage
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
        sys.exit(BAD_INPUT)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except BadInput as error:
        click.echo(f"stackcarry: {error}", err=True)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        sys.stdout = None  # nothing more can be written there, at exit neither
        click.echo(f"stackcarry: the output cannot be written: {error.strerror or error}", err=True)
        sys.exit(BAD_INPUT)


def _check_output() -> None:
    """Refuse a closed standard output, and let no character fail that a terminal's encoding lacks."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
