"""`trace` records and shows a routine's run, or writes it into a file; `view` shows such a file."""

from __future__ import annotations

import sys
from typing import Unpack

import click

from emu.commands.common import (
    ARCH,
    BAD_INPUT,
    BUDGET,
    ERA,
    FAILED,
    FAULTED,
    HOLDS,
    INTERRUPTED,
    ROUTINE,
    begin,
    colour_option,
    end_with_reader,
    json_option,
)
from emu.commands.look import Look, chooses, look_options, show

_EXIT = {"ended": HOLDS, "failed": FAILED, "fault": FAULTED, "budget": BUDGET, "interrupted": INTERRUPTED}
_LAST = 20  # steps that are shown of a run that was interrupted; a file keeps them all


@click.command()
@click.argument("routine", type=ROUTINE)
@click.option("--arch", type=ARCH, help="386, amd64 or arm; read from the file with --elf.")
@click.option("--era", type=ERA, help="An era or a release, modern by default; not with --elf.")
@click.option("--elf", "file", type=click.Path(), help="Trace a function of a static Go binary, by symbol.")
@click.option("--scene", help="The entry state, by name; `stackcarry list ROUTINE` shows them.")
@click.option("--steps", default=10_000, show_default=True, type=click.IntRange(1), help="Budget, in instructions.")
@click.option("--schedule", help="Of a case that explores interleavings: the one to follow, as `case run` found it.")
@click.option("--variant", default="before", show_default=True, help="The case's variant, with --schedule.")
@click.option("-o", "--output", type=click.Path(), help="Write the trace into a file instead, for `view`.")
@look_options
@json_option
@colour_option
def trace(
    routine: str, arch: str | None, era: str | None, file: str | None, scene: str | None, steps: int,
    schedule: str | None, variant: str, output: str | None, as_json: bool, colour: bool | None,
    **look: Unpack[Look],
) -> None:
    """Single-step a routine: one line an instruction, with the stack SP is in and what the guard says.

    A value has the colour of the region that it points to; `--legend` says which is which.

    \b
    stackcarry trace mcall --arch arm
    stackcarry trace gogo --arch 386 --era 2011 --scene "nil g"
    stackcarry trace runtime.morestack --elf ./program
    stackcarry trace systemstack --arch amd64 --only switches --only guard
    stackcarry trace mcall --arch amd64 -o mcall.trace
    stackcarry trace gc-triple --arch amd64 --variant committed --schedule a24b9
    """
    if schedule is not None:
        from emu.select import needed_arch
        from emu.views.cases import print_followed

        if output is not None:
            raise click.UsageError("a schedule is followed on the screen; leave --output out")
        if chooses(look):
            raise click.UsageError("a schedule is followed as it is: leave out what chooses steps")
        sys.exit(FAILED if print_followed(routine, variant, needed_arch(arch), schedule, as_json, colour) else HOLDS)
    if output is not None and (as_json or chooses(look)):
        raise click.UsageError("the trace goes into a file: say what to show of it to `view`")
    begin()
    from emu import freerun
    from emu.select import traced
    from emu.trace.writer import to_file

    target, name = traced(routine, arch, era, file)
    given = (("--arch", arch), ("--era", era), ("--elf", file), ("--scene", scene), ("--steps", str(steps)))
    words = ["trace", routine, *(word for option, value in given if value is not None for word in (option, value))]
    run = freerun.trace(target, name, scene, steps, to_file(output) if output else None, words)
    if run.recording is not None:
        interrupted = run.outcome == "interrupted"
        show(run.recording, as_json, colour, look, max(0, run.recording.steps - _LAST) if interrupted else 0)
    sys.exit(_EXIT[run.outcome])


@click.command()
@click.argument("file", type=click.Path())
@look_options
@json_option
@colour_option
def view(file: str, as_json: bool, colour: bool | None, **look: Unpack[Look]) -> None:
    """Show a trace from a file. Of a damaged file all before the damage is shown; exits 2 then.

    \b
    stackcarry trace mcall --arch amd64 -o mcall.trace
    stackcarry view mcall.trace
    stackcarry view mcall.trace --summary
    stackcarry view mcall.trace --around 5 --context 2
    stackcarry view mcall.trace --only switches --only guard --follow g0
    """
    end_with_reader()
    from emu.trace.reader import open_trace

    with open_trace(file) as recording:
        show(recording, as_json, colour, look)
        if recording.damage is not None:
            click.echo(f"stackcarry: {file}: {recording.damage}", err=True)
            sys.exit(BAD_INPUT)
