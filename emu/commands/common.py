"""What the commands share: exit codes, common options, names with completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

HOLDS, FAILED, BAD_INPUT, FAULTED, NOTHING, BUDGET, INTERRUPTED = 0, 1, 2, 3, 5, 124, 130

colour_option = click.option("--color/--no-color", "colour", default=None, help="Force or forbid colour.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")


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


def remember() -> None:
    """What was assembled once need not be assembled by the next command."""
    from asm import encodings

    encodings.start()


def begin() -> None:
    """What every command does that runs code of our own sources or of a binary."""
    remember()
    end_with_reader()


def end_with_reader() -> None:
    """A reader that has seen enough (head) ends us as it ends others."""
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


ARCH, ERA, ROUTINE, CASE = Name("arch", _arches), Name("era", _eras), Name("routine", _routines), Name("case", _cases)
