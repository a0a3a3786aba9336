"""The map of guest memory in the host: Python and the native table say the same after any changes."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

import arch as arches
from emu.hostmap import HostMap, Table, address_of, zeros
from emu.machine import PAGE, Machine

CODE, DATA = 0x4000_0000, 0x5000_0000


def native(where: HostMap, address: int) -> int | None:
    """The byte at a guest address by way of the native table, as C code finds it."""
    table = Table.from_address(where.address)
    for number in range(table.count):
        one = table.ranges[number]
        if one.start <= address < one.end:
            return ctypes.c_uint8.from_address(one.host + address - one.start).value
    return None


def test_reads_and_writes_over_adjacent_ranges() -> None:
    where = HostMap()
    where.add(PAGE, zeros(PAGE))
    where.add(2 * PAGE, zeros(2 * PAGE))
    where.write(2 * PAGE - 3, b"abcdef")
    assert where.read(2 * PAGE - 4, 8) == b"\0abcdef\0"
    assert where.read(2 * PAGE, 3) == b"def"
    assert [native(where, 2 * PAGE + n) for n in (-1, 0)] == [ord("c"), ord("d")]


def test_what_is_not_mapped() -> None:
    where = HostMap()
    where.add(PAGE, zeros(PAGE))
    for address, size in ((0, 1), (PAGE - 1, 2), (2 * PAGE - 1, 2), (2 * PAGE, 1), (PAGE, -1), (PAGE, 1 << 60)):
        with pytest.raises(ValueError, match="bytes are mapped"):
            where.read(address, size)
    with pytest.raises(ValueError, match="bytes are mapped"):
        where.write(2 * PAGE - 1, b"xy")
    assert where.read(2 * PAGE - 1, 1) == b"\0"  # nothing of a write that does not fit
    assert where.find(2 * PAGE) is None


@pytest.mark.parametrize("start", [PAGE, 2 * PAGE, 0])
def test_nothing_is_mapped_twice(start: int) -> None:
    where = HostMap()
    where.add(PAGE, zeros(2 * PAGE))
    with pytest.raises(ValueError, match="something is mapped"):
        where.add(start, zeros(2 * PAGE))


def test_the_host_address_is_the_buffers() -> None:
    where, buffer = HostMap(), zeros(PAGE)
    where.add(5 * PAGE, buffer)
    piece = where.find(5 * PAGE + 7)
    assert piece is not None
    assert piece.host == address_of(buffer)


def test_the_engine_and_the_host_see_the_same_bytes_after_any_cut() -> None:
    """A mapping that is taken apart by unmapping and by protection keeps its bytes, for the guest too."""
    machine = Machine(arches.get("amd64"))
    machine.map(CODE, PAGE, executable=True)
    machine.write(CODE, bytes.fromhex("488b03 488903 90"))  # mov rax, [rbx]; mov [rbx], rax
    machine.map(DATA, 8 * PAGE)
    for page in range(8):
        machine.write(DATA + page * PAGE, bytes([page + 1] * 8))
    machine.unmap(DATA + 3 * PAGE, PAGE)
    machine.protect(DATA + 5 * PAGE, PAGE, touchable=False)
    seen = {}
    for page in range(8):
        machine.set_registers({"rip": CODE, "rbx": DATA + page * PAGE, "rax": 0})
        stop = machine.run(1)
        seen[page] = stop.kind if stop.kind == "fault" else machine.registers()["rax"] & 0xFF
    assert seen == {0: 1, 1: 2, 2: 3, 3: "fault", 4: 5, 5: "fault", 6: 7, 7: 8}
    machine.set_registers({"rip": CODE + 3, "rbx": DATA + 6 * PAGE, "rax": 0x1234})
    machine.run(1)
    assert machine.word(DATA + 6 * PAGE) == 0x1234
    assert machine.read(DATA + 5 * PAGE, 1) == b"\6"  # the host is not kept out
    with pytest.raises(ValueError, match="bytes are mapped"):
        machine.read(DATA + 3 * PAGE, 1)


spans = st.tuples(st.booleans(), st.integers(0, 24), st.integers(1, 8))


@given(st.lists(spans, max_size=20))
def test_any_changes(changes: list[tuple[bool, int, int]]) -> None:
    where, content = HostMap(), dict[int, int]()
    for number, (adds, first, count) in enumerate(changes):
        pages = range(first, first + count)
        if not adds:
            where.remove(first * PAGE, count * PAGE)
            content = {page: mark for page, mark in content.items() if page not in pages}
        elif not content.keys() & set(pages):
            where.add(first * PAGE, zeros(count * PAGE))
            for page in pages:
                content[page] = (number * 8 + page) % 255 + 1
                where.write(page * PAGE + 5, bytes([content[page]]))
    for page in range(32):
        assert native(where, page * PAGE + 5) == content.get(page)
        if page in content:
            assert where.read(page * PAGE + 5, 1) == bytes([content[page]])
