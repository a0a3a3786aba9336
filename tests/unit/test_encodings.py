"""Encodings kept from one run to the next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
import arch
from asm import assembler, encodings, source
encodings.start(Path(sys.argv[1]))
asked = []
ask = assembler._Engine._ask
assembler._Engine._ask = lambda engine, insn, address: asked.append(insn) or ask(engine, insn, address)
text = "start: mov eax, 10; jmp start; call far"
program = assembler.assemble(source.parse(text, "t.s", arch.get("386")), arch.get("386"), base=0x1000, gates={"far": 0})
print(len(asked), program.segments[0].data.hex())
"""
CODE = "b80a000000" "ebf9" "e8f4efffff"


def run(folder: Path) -> tuple[int, str]:
    """How often Keystone was asked, and the bytes."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True)
    asked, code = done.stdout.split()
    return int(asked), code


def test_kept_and_used(tmp_path: Path) -> None:
    first, again = run(tmp_path), run(tmp_path)
    assert first[0] > 0
    assert again == (0, first[1])
    assert first[1] == CODE


@pytest.mark.parametrize("damage", ["{", '{"crc32": "", "value": []}', "[]", '{"value": 1}'])
def test_damage_is_forgotten(tmp_path: Path, damage: str) -> None:
    first = run(tmp_path)
    (kept,) = tmp_path.glob("encodings-386-*.json")
    kept.write_text(damage)
    assert run(tmp_path) == first


def test_a_changed_encoding_is_not_believed(tmp_path: Path) -> None:
    first = run(tmp_path)
    (kept,) = tmp_path.glob("encodings-386-*.json")
    content = json.loads(kept.read_text())
    content["value"][0][3] = "90"
    kept.write_text(json.dumps(content))
    assert run(tmp_path) == first


def test_no_folder_to_write_to() -> None:
    assert run(Path("/proc/nowhere"))[1] == CODE
