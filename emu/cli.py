"""The commands; what they do stands elsewhere. Heavy modules are imported inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

HOLDS, FAILED, BAD_INPUT, FAULTED, NOTHING, BUDGET, INTERRUPTED = 0, 1, 2, 3, 5, 124, 130

_colour = click.option("--color/--no-color", "colour", default=None, help="Force or forbid colour.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")


class Name(click.ParamType):
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


ARCH, ERA, ROUTINE = Name("arch", _arches), Name("era", _eras), Name("routine", _routines)


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

    \b
    stackcarry check
    stackcarry check --era modern --arch arm mcall --explain
    stackcarry check --elf ./program
    """
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
    sys.exit(FAILED if summary.failed else HOLDS)


def main() -> None:
    """The command ``stackcarry``: bad input ends with one line on stderr and the exit code of its kind."""
    from emu.errors import BadInput

    try:
        cli.main(standalone_mode=False)
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
    except BrokenPipeError:
        sys.exit(HOLDS)


if __name__ == "__main__":
    main()
