"""Listings: address, bytes, source; with the frame map for our own routines."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.text import Text

import arch as arches
from asm import source
from asm.listing import listing
from asm.program import Program
from asm.readback import disassemble
from emu.errors import BadInput
from emu.target import Target
from emu.views.names import with_target


def print_program(program: Program, as_json: bool) -> None:
    """The whole of an assembled text."""
    for address, code, text in listing(program):
        if as_json:
            click.echo(json.dumps({"kind": "line", "address": hex(address), "bytes": code.hex(), "source": text}))
        else:
            click.echo(f"{address:>10x}  {code.hex():<24}  {text}".rstrip())


def print_routine(console: Console, target: Target, name: str) -> None:
    """One routine: for our own the frame map and the commented source first, then address, bytes, instruction."""
    symbol = target.routines.get(name) or target.program.symbol(name)
    console.print(Text(f"{target.title}, {target.arch.name}: {symbol.name}, {symbol.size} bytes", "bold"))
    if not target.file:
        console.print(Text(source.frame_map(target.era.name, target.arch.name), "dim"), soft_wrap=True)
        console.print(Text(source.routine_text(target.era.name, target.arch.name, name)), soft_wrap=True)
    try:
        code = target.program.read(symbol.address, symbol.size)
    except ValueError as error:
        raise BadInput(f"{target.title}: {name}: {error}") from None
    for address, data, text in disassemble(arches.get(target.arch.name), code, symbol.address):
        where = f"{address:>10x}  {target.program.describe(address):<28}  {data.hex():<24}"
        console.print(Text(f"{where}  {with_target(target.program, text)}"), soft_wrap=True)
    console.print()
