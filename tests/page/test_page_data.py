"""What goes into a page, and the command that writes one."""

from __future__ import annotations

import base64
import json
import re
import zlib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from made_runs import recorded, repeated

from emu import cli
from emu.errors import BadInput
from emu.views import page as pages
from emu.views.page import page
from emu.views.page.pack import number, pack


def unpacked(text: str) -> tuple[dict[str, object], dict[str, list[int]]]:
    """What the script unpacks."""
    data = zlib.decompress(base64.b64decode(text))
    size = int.from_bytes(data[:4], "little")
    record = json.loads(data[4 : 4 + size])
    start, arrays = -(-(4 + size) // 4) * 4, {}
    for name, (at, count) in record.pop("arrays").items():
        stored = np.frombuffer(data, "<u4", count, start + at)
        arrays[name] = np.bitwise_xor.accumulate(stored).tolist()
    return record, arrays


def test_what_is_packed_comes_out_again() -> None:
    arrays = {"a": np.array([7, 7, 0xFFFFFFFF, 0], np.uint32), "none": np.empty(0, np.uint32)}
    record, found = unpacked(pack({"name": "é</script>"}, arrays))
    assert record == {"name": "é</script>"}
    assert found == {"a": [7, 7, 0xFFFFFFFF, 0], "none": []}


def test_words_that_a_script_cannot_hold_are_hex() -> None:
    assert number(1 << 53) == "0x20000000000000"
    assert number((1 << 53) - 1) == (1 << 53) - 1


def test_the_same_run_gives_the_same_bytes() -> None:
    assert page(recorded("mcall", "386")) == page(recorded("mcall", "386"))


def test_a_page_asks_for_nothing_outside() -> None:
    text = page(recorded("mcall", "386"))
    assert "default-src 'none'" in text
    assert not re.search(r"<(?:link|iframe|img)\b|<script[^>]*\bsrc=", text.split("<script>")[0])


def test_a_part_of_a_run_may_be_chosen() -> None:
    recording = repeated(recorded("mcall", "arm"), 3)
    text = re.search(r'id="data">([^<]*)<', page(recording, 30, 40))
    assert text
    record, arrays = unpacked(text[1])
    assert (record["first"], record["end"], record["steps"]) == (30, 40, recording.steps)
    assert arrays["step"] == list(range(10))


def test_too_many_steps_none_and_no_plot_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = recorded("mcall", "arm")
    with pytest.raises(BadInput, match="no step is recorded between 28 and 28"):
        page(recording, 28)
    monkeypatch.setattr(pages, "MOST", 10)
    with pytest.raises(BadInput, match="at most 10 steps, these are 28: choose some with --first and --end"):
        page(recording)

    def missing(_name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(BadInput, match=re.escape("pip install 'stackcarry[html]'")):
        page(recording, 0, 5)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["stackcarry", *words])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_writes_beside_the_trace(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "mcall.trace"
    assert run(monkeypatch, "trace", "mcall", "--arch", "arm", "-o", str(trace)) == 0
    assert run(monkeypatch, "export", str(trace), "--to", "html") == 0
    written = (tmp_path / "mcall.html").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(monkeypatch, "export", str(trace), "--to", "html", "-o", "-") == 0
    assert capsys.readouterr().out == written
    assert run(monkeypatch, "export", str(trace), "--to", "html", "-o", str(trace)) == 2
    assert "choose another name" in capsys.readouterr().err


def test_a_run_that_is_too_long_is_exported_up_to_what_fits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "mcall.trace"
    assert run(monkeypatch, "trace", "mcall", "--arch", "arm", "-o", str(trace)) == 0
    monkeypatch.setattr(pages, "MOST", 10)
    assert run(monkeypatch, "export", str(trace), "--to", "html", "--first", "3", "-o", "-") == 0
    whole = capsys.readouterr()
    assert whole.err == (
        "stackcarry: a page holds 10 steps: these are 3 up to 13 of 28; --first and --end choose others\n"
    )
    assert run(monkeypatch, "export", str(trace), "--to", "html", "--first", "3", "--end", "13", "-o", "-") == 0
    assert capsys.readouterr() == (whole.out, "")
    assert run(monkeypatch, "export", str(trace), "--to", "html", "--end", "13", "-o", "-") == 2
    assert "at most 10 steps, these are 13" in capsys.readouterr().err


def test_a_damaged_trace_is_exported_up_to_the_damage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "cut.trace"
    assert run(monkeypatch, "trace", "mcall", "--arch", "arm", "-o", str(trace)) == 0
    trace.write_bytes(trace.read_bytes()[:-20])
    assert run(monkeypatch, "export", str(trace), "--to", "html") == 2
    assert "damaged at byte" in capsys.readouterr().err
    assert (tmp_path / "cut.html").exists()
