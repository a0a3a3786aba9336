"""Trace files: what is written is read back, any step is reached, and damage is named, never a surprise."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from assembled import ARCHES, target

from emu import freerun
from emu import target as targets
from emu.errors import BadInput
from emu.trace import collector
from emu.trace.collector import Collector
from emu.trace.findings import findings
from emu.trace.header import encode_header
from emu.trace.model import ACCESS, Damaged, Header, Recording, Rows, Stack, Standing
from emu.trace.pieces import BUCKET
from emu.trace.reader import TraceFile, open_trace
from emu.trace.recording import InMemory
from emu.trace.sections import MOST, pack, read_chunk, read_section
from emu.trace.steps import steps
from emu.trace.writer import END, MAGIC, Writer, to_file

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
BUDGET = 1000


def recorded(arch: str, routine: str = "mcall") -> Recording:
    found = freerun.trace(targets.of_era("modern", arch), routine, None, BUDGET).recording
    assert found is not None
    return found


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small whole file."""
    path = tmp_path / "small.trace"
    freerun.trace(targets.of_era("modern", "386"), "mcall", None, BUDGET, to_file(str(path)))
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A whole file of three steps."""
    path = tmp_path / "tiny.trace"
    freerun.trace(target("modern", "386", "f:\npush 5\npop ecx\nret\n"), "f", None, BUDGET, to_file(str(path)))
    return path


def same(one: Recording, other: Recording) -> None:
    """All that a view can ask gives the same."""
    end = one.steps
    assert (encode_header(one.header), end) == (encode_header(other.header), other.steps)
    for low, high in ((0, end), (end // 3, end // 2 + 1), (end - 1, end)):
        assert np.array_equal(one.rows(low, high), other.rows(low, high))
        assert np.array_equal(one.rows(low, high, [1]), other.rows(low, high, [1]))
        assert np.array_equal(one.accesses(low, high), other.accesses(low, high))
        assert one.turns(low, high) == other.turns(low, high)
        assert all(np.array_equal(a, b) for a, b in zip(one.cuts(low, high), other.cuts(low, high), strict=True))
    assert one.events(-1, end) == other.events(-1, end)
    assert one.outside(-1, end) == other.outside(-1, end)
    for step in {0, 1, end // 2, end}:
        a, b = one.state(step), other.state(step)
        assert (a.registers, a.thread, a.standing) == (b.registers, b.thread, b.standing)
        assert [a.memory.read(page, 4096) for page in a.memory.pages()] == [
            b.memory.read(page, 4096) for page in b.memory.pages()
        ]


# what is written is read


@each
@pytest.mark.parametrize("routine", ["mcall", "systemstack", "rawVforkSyscall"])
def test_file_says_what_memory_does(arch: str, routine: str, tmp_path: Path) -> None:
    kept, path = recorded(arch, routine), str(tmp_path / "trace")
    freerun.trace(targets.of_era("modern", arch), routine, None, BUDGET, to_file(path))
    for verify in (True, False):
        with open_trace(path, verify=verify) as read:
            assert read.damage is None
            same(kept, read)
            assert list(steps(read)) == list(steps(kept))


@each
def test_same_run_gives_the_same_bytes(arch: str, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        freerun.trace(targets.of_era("2014", arch), "morestack", None, BUDGET, to_file(str(path)))
    assert paths[0].read_bytes() == paths[1].read_bytes()


# long runs: many pieces


def rows_of(header: Header, count: int) -> Rows:
    """Rows in which every column of every step is another number."""
    columns = len(header.columns)
    found = np.arange(count * columns, dtype=np.uint64).reshape(count, columns) * np.uint64(3)
    found[:, header.column("sp") or 0] = header.stacks[0].hi - 64
    found[:, header.column("pc") or 0] = 0x4E00_0000
    return found & np.uint64(header.arch.mask)


def feed(sink: Collector, header: Header, count: int, batches: list[int]) -> None:
    """A run with writes, switches of threads, outside writes and events, handed over in batches of these sizes."""
    rows, stack = rows_of(header, count), header.stacks[0]
    writes = np.zeros(count // 2, ACCESS)
    writes["step"] = np.arange(count // 2) * 2
    writes["address"] = stack.lo + (np.arange(count // 2) * 12) % (stack.hi - stack.lo - 8)
    writes["value"], writes["size"], writes["write"] = np.arange(count // 2), 4, 1
    outside = {count // 4 * n: (stack.lo + n, bytes(range(n + 1, n + 9))) for n in range(1, 4)}
    sink.add_memory(-1, stack.lo, b"before")
    sink.add_event(-1, "thread", 1, {"name": "other", "g_word": None})
    at, sizes = 0, itertools.cycle(batches)
    while at < count:
        end = min(at + next(sizes), count, *(step + 1 for step in outside if step >= at))
        middle = (at // 1000 + 1) * 1000  # turns change there, wherever the batches do
        end = min(end, middle)
        sink.add_rows(at, at // 1000 % 2, rows[at:end].tobytes())
        low, high = np.searchsorted(writes["step"], [at, end])
        sink.add_accesses(writes[low:high].tobytes())
        if end - 1 in outside:
            sink.add_memory(end - 1, *outside[end - 1])
            name = f"s{end}"
            data = Stack(name, "x", 0, end << 16, (end << 16) + 4096, 0)._asdict()
            sink.add_event(end - 1, "stack", 0, data)
        at = end
    sink.add_cut(count - 1, rows[-1].tolist())
    sink.add_event(count - 1, "end", 0, {"scene": "x", "outcome": "ended", "end": "over", "steps": count})
    sink.close(count)


LONG = 3 * BUCKET + 12_345


@pytest.fixture(scope="module")
def header() -> Header:
    return recorded("amd64").header


@pytest.fixture(scope="module")
def long(header: Header, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "trace"
    feed(Writer(str(path), header, lambda _address, _size: b"code", watch=False), header, LONG, [7000])
    return path


def test_long_run_stands_in_pieces(long: Path, header: Header) -> None:
    kept = InMemory(header)
    feed(Collector(header, kept.add, lambda _address, _size: b"code"), header, LONG, [LONG])
    with open_trace(str(long)) as read:
        assert read.ends == [0, BUCKET, 2 * BUCKET, 3 * BUCKET, LONG]
        assert np.array_equal(read.rows(0, LONG), rows_of(header, LONG))
        same(kept, read)
        border = 2 * BUCKET
        assert np.array_equal(read.rows(border - 2, border + 2), rows_of(header, LONG)[border - 2 : border + 2])
        assert [turn.thread for turn in read.turns(500, 2500)] == [0, 1, 0]


@pytest.mark.parametrize("batches", [[1000], [1, 999, 17], [65536], [65535, 3]])
def test_bytes_do_not_depend_on_how_a_run_is_handed_over(
    long: Path, header: Header, tmp_path: Path, batches: list[int]
) -> None:
    path = tmp_path / "again"
    feed(Writer(str(path), header, lambda _address, _size: b"code", watch=False), header, LONG, batches)
    assert path.read_bytes() == long.read_bytes()


def test_any_state_is_what_all_writes_before_it_make(long: Path, header: Header) -> None:
    """Against a simple model: a dictionary of bytes, and every write in order."""
    known: dict[int, int] = {}
    with open_trace(str(long), verify=False) as read:
        writes = [(int(w["step"]), 0, int(w["address"]), int(w["value"]).to_bytes(8, "little")[: int(w["size"])])
                  for w in read.accesses(0, LONG) if w["write"]]
        writes += [(o.step, 1, o.address, o.data) for o in read.outside(-1, LONG)]
        writes.sort(key=lambda write: write[:2])
        lo, hi = header.stacks[0].lo, header.stacks[0].hi
        at = 0
        for step in (0, 1, LONG // 4, LONG // 4 + 1, BUCKET - 1, BUCKET, BUCKET + 1, 2 * BUCKET + 777, LONG):
            while at < len(writes) and writes[at][0] < step:
                known |= {writes[at][2] + n: byte for n, byte in enumerate(writes[at][3])}
                at += 1
            data, flags = read.state(step).memory.read(lo, hi - lo)
            assert {lo + n: byte for n, byte in enumerate(data) if flags[n]} == known, step
            stacks = read.state(step).standing.stacks
            assert len(stacks) == len(header.stacks) + sum(LONG // 4 * n < step for n in range(1, 4))


def test_seeking_reads_few_bytes(long: Path) -> None:
    size = long.stat().st_size
    stream = _Counting(long)
    with TraceFile(str(long), stream, verify=False) as read:  # type: ignore[arg-type]
        read.rows(LONG - 2, LONG - 1)
        assert stream.count < size // 2


class _Counting:
    """A file that counts what is read of it."""

    def __init__(self, path: Path) -> None:
        self._stream, self.count = path.open("rb"), 0
        self.seek, self.close = self._stream.seek, self._stream.close

    def read(self, size: int) -> bytes:
        found = self._stream.read(size)
        self.count += len(found)
        return found


def test_rows_of_parts_of_a_run(header: Header, tmp_path: Path) -> None:
    """Steps without rows: what is recorded keeps its numbers, and nothing is said of the state after a gap."""
    path, rows = tmp_path / "parts", rows_of(header, 30)
    sink = Writer(str(path), header, lambda _address, _size: b"", watch=False)
    sink.add_rows(5, 0, rows[:10].tobytes())
    sink.add_rows(1_000_000_000_000, 3, rows[10:].tobytes())
    sink.add_cut(1_000_000_000_019, rows[0].tolist())
    sink.close(2_000_000_000_000)
    with open_trace(str(path)) as read:
        assert read.steps == 2_000_000_000_000
        assert read.numbers(0, read.steps).tolist() == [*range(5, 15), *range(10**12, 10**12 + 20)]
        found = list(steps(read))
        assert [step.number for step in found] == read.numbers(0, read.steps).tolist()
        assert found[9].changed == {}, "nobody knows what step 14 did"
        assert found[8].changed
        assert found[-1].changed
        assert read.state(500).registers == dict(zip(header.columns, rows[9].tolist(), strict=True))
        assert read.state(read.steps).registers == dict(zip(header.columns, rows[0].tolist(), strict=True))


def test_rows_with_numbers_of_their_own(header: Header) -> None:
    kept, rows = InMemory(header), rows_of(header, 6)
    sink = Collector(header, kept.add, lambda _address, _size: b"")
    numbers = np.array([3, 4, 9, 70_000, 70_001, 200_000], np.uint64)
    sink.add_numbered(2, numbers.tobytes(), rows.tobytes())
    sink.add_numbered(2, b"", b"")
    sink.close(200_001)
    assert kept.numbers(0, kept.steps).tolist() == numbers.tolist()
    assert np.array_equal(kept.rows(0, kept.steps), rows)
    assert [tuple(turn) for turn in kept.turns(4, 70_001)] == [(4, 5, 2), (9, 10, 2), (70_000, 70_001, 2)]


def test_much_memory_from_outside_is_split(header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece ends where it holds enough, before the first step and between any two."""
    monkeypatch.setattr(collector, "MOST_OUTSIDE", 5000)
    path, lo, rows = tmp_path / "much", header.stacks[0].lo, rows_of(header, 20)
    sink = Writer(str(path), header, lambda _address, _size: b"", watch=False)
    sink.add_memory(-1, lo, b"a" * 6000)
    sink.add_memory(-1, lo + 10, b"b" * 6000)
    sink.add_event(-1, "gate", 0, {"name": "early"})
    sink.add_rows(0, 0, rows[:10].tobytes())
    sink.add_memory(9, lo, b"c" * 6000)
    sink.add_event(9, "gate", 0, {"name": "late"})
    sink.add_rows(10, 0, rows[10:].tobytes())
    sink.close(20)
    with open_trace(str(path)) as read:
        assert (read.damage, read.ends) == (None, [0, 0, 0, 10, 20])
        assert [event.data["name"] for event in read.events(-1, 0)] == ["early"]
        assert [event.data["name"] for event in read.events(9, 10)] == ["late"]
        assert [write.step for write in read.outside(-1, 20)] == [-1, -1, 9]
        first, tenth = (read.state(step).memory.read(lo, 6010)[0] for step in (9, 10))
        assert first == b"a" * 10 + b"b" * 6000
        assert tenth == b"c" * 6000 + b"b" * 10
        assert np.array_equal(read.rows(0, 20), rows)


def test_what_comes_too_late_is_refused(header: Header) -> None:
    sink = Collector(header, lambda _piece: None, lambda _address, _size: b"")
    sink.add_rows(0, 0, rows_of(header, BUCKET + 1).tobytes())
    sink.add_rows(BUCKET + 1, 0, rows_of(header, 1).tobytes())
    with pytest.raises(ValueError, match="too late"):
        sink.add_event(5, "gate", 0, {"name": "fn"})


# damage


def shown(path: Path) -> tuple[int, str]:
    """Steps that can be shown, and the damage in words; whatever is wrong must be said as bad input."""
    try:
        with open_trace(str(path)) as read:
            count = len(list(steps(read)))
            list(findings(read))
            read.state(read.steps).memory.read(0, 64)
            return count, str(read.damage or "")
    except BadInput as error:
        return 0, str(error)


def opened(path: Path) -> tuple[int, str]:
    """The same without looking at the steps."""
    try:
        with open_trace(str(path)) as read:
            return read.steps, str(read.damage or "")
    except BadInput as error:
        return 0, str(error)


def test_cut_at_every_length(tiny: Path) -> None:
    whole = tiny.read_bytes()
    count, damage = shown(tiny)
    assert (damage, count == 3) == ("", True)
    seen = set()
    for length in range(len(whole)):
        tiny.write_bytes(whole[:length])
        found, damage = (opened if length % 41 else shown)(tiny)
        assert damage, f"cut to {length} bytes"
        assert found in (0, count)
        seen.add(found)
    assert seen == {0, count}, "the index alone may be missing"


def test_every_bit_that_flips_is_found(tiny: Path) -> None:
    whole, rng = tiny.read_bytes(), random.Random(1)
    count = shown(tiny)[0]
    for place in range(0, len(whole), 3):
        broken = bytearray(whole)
        broken[place] ^= 1 << rng.randrange(8)
        tiny.write_bytes(broken)
        found, damage = (opened if place % 41 else shown)(tiny)
        assert damage, f"byte {place}"
        assert found in (0, count)


def test_bytes_behind_the_end_are_damage(small: Path) -> None:
    small.write_bytes(small.read_bytes() + b"\0")
    count, damage = shown(small)
    assert count
    assert "last bytes" in damage


def test_damage_in_the_middle_leaves_what_is_before(long: Path, tmp_path: Path) -> None:
    whole = bytearray(long.read_bytes())
    with open_trace(str(long)) as read:
        offset = [chunk if isinstance(chunk, int) else chunk.offset for chunk in read._chunks][2]
    whole[offset + 500] ^= 1
    broken = tmp_path / "broken"
    broken.write_bytes(whole)
    with open_trace(str(broken)) as read:
        assert (read.steps, str(read.damage)) == (
            BUCKET, f"damaged at byte {offset:#x}, piece 2: the checksum is wrong"
        )
        assert len(read.rows(0, read.steps)) == BUCKET
    with open_trace(str(broken), verify=False) as read:
        assert len(read.rows(0, BUCKET)) == BUCKET
        assert len(read.rows(2 * BUCKET, LONG)) == LONG - 2 * BUCKET, "what is behind the damage can be reached"
        with pytest.raises(Damaged, match="piece 2: the checksum is wrong"):
            read.rows(BUCKET, BUCKET + 1)


def test_run_that_was_never_closed(header: Header, tmp_path: Path) -> None:
    """What a process leaves that is killed: every piece it had written."""
    path = tmp_path / "open"
    sink = Writer(str(path), header, lambda _address, _size: b"", watch=False)
    rows = rows_of(header, 2 * BUCKET + 10)
    sink.add_rows(0, 0, rows[:-5].tobytes())
    sink.add_rows(2 * BUCKET + 5, 0, rows[-5:].tobytes())
    with open_trace(str(path)) as read:
        assert read.steps == 2 * BUCKET
        assert np.array_equal(read.rows(0, read.steps), rows[: 2 * BUCKET])
        assert "breaks off" in str(read.damage)


def test_missing_index_is_made_again(long: Path, tmp_path: Path) -> None:
    whole = long.read_bytes()
    offset, _ = END.unpack(whole[-END.size :])
    cut = tmp_path / "cut"
    cut.write_bytes(whole[:offset])
    with open_trace(str(cut), verify=False) as read, open_trace(str(long)) as complete:
        assert "breaks off" in str(read.damage)
        same(complete, read)


# files that are well-formed and say what cannot be


def rebuilt(whole: bytes, path: Path, change: dict[str, bytes]) -> None:
    """The file again, some sections of its pieces (or its header) replaced, checksums right."""
    path.write_bytes(whole)
    data, at = MAGIC, len(MAGIC)
    with path.open("rb") as stream:
        while True:
            chunk = read_chunk(stream, at, len(whole))
            if chunk.kind == "INDX":
                break
            names = [*chunk.sections, *(name for name in change if name not in chunk.sections)]
            kept = {name: change.get(name, read_section(stream, chunk, name)) for name in names}
            data += pack(chunk.kind, kept.items())
            at = chunk.end
    path.write_bytes(data + pack("INDX", []) + END.pack(len(data), b"\x93the end"))


def test_sections_of_any_bytes(small: Path) -> None:
    """No traceback, no endless memory, whatever a section holds."""
    whole, rng = small.read_bytes(), random.Random(2)
    with small.open("rb") as stream:
        at, originals = len(MAGIC), {}
        while (chunk := read_chunk(stream, at, len(whole))).kind != "INDX":
            originals |= {name: read_section(stream, chunk, name) for name in chunk.sections}
            at = chunk.end
    assert {"header", "meta", "turns", "row.0", "events", "page.at", "out.at", "cut.row"} <= set(originals)
    for name, original in originals.items():
        for _ in range(12):
            broken = bytearray(original)
            for _ in range(rng.randrange(1, 4)):
                broken[rng.randrange(len(broken))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            if rng.random() < 0.3:
                broken = broken[: rng.randrange(len(broken))]
            rebuilt(whole, small, {name: bytes(broken)})
            shown(small)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("turns", [0, 1 << 63, 0]), ("meta", [0, 1 << 62, 1 << 40, 0]), ("meta", [0, 5, 5, 1 << 40]),
        ("out.at", [0, 0, 1 << 62]), ("page.at", [7]), ("code.at", [1, 1 << 50]), ("cut.step", [1 << 60]),
    ],
)
def test_numbers_that_ask_for_much_memory(small: Path, section: str, values: list[int]) -> None:
    rebuilt(small.read_bytes(), small, {section: np.array(values, "<u8").tobytes()})
    assert shown(small)[1]


def test_section_that_says_it_is_huge(small: Path) -> None:
    whole = bytearray(small.read_bytes())
    place = len(MAGIC) + 20 + 12  # the length of the header's only section
    whole[place : place + 8] = (MOST + 1).to_bytes(8, "little")
    small.write_bytes(whole)
    assert "checksum" in shown(small)[1]


@pytest.mark.parametrize("text", ["[]", "{}", '{"version": 2}', "[" * 100_000, '{"version": 1}', "\x00"])
def test_header_that_is_none(small: Path, text: str) -> None:
    rebuilt(small.read_bytes(), small, {"header": text.encode()})
    count, said = shown(small)
    assert count == 0
    assert "header" in said or "version 2" in said


def test_not_a_trace(tmp_path: Path) -> None:
    for content in (b"", b"\x7fELF" + bytes(100), MAGIC[:-1]):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BadInput, match="not a trace"):
            open_trace(str(tmp_path / "x"))
    with pytest.raises(BadInput, match="No such file"):
        open_trace(str(tmp_path / "nowhere"))
    with pytest.raises(BadInput, match="not a regular file"):
        open_trace(str(tmp_path))


def test_standing_of_a_header(header: Header) -> None:
    assert [*Standing.of(header).stacks] == [stack.name for stack in header.stacks]
