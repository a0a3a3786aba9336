"""The structs of signals against those that Go's runtime declares for each arch."""

from __future__ import annotations

import re
from functools import cache

import pytest
import toolchain
from signal_guest import each

import arch as arches
from arch.signals import SIGNALS

# Go's names of what is called otherwise here.
_NAMES = {"arm": {"r11": "fp", "r12": "ip"}, "amd64": {"rflags": "eflags"}, "386": {}}
_WORDS = {"trap": ("trapno", "trap_no"), "error": ("err", "error_code"), "fault": ("cr2", "fault_address")}


class _Defs:
    """The declarations of one defs_linux_*.go: sizes, alignments and offsets of members in bytes."""

    def __init__(self, arch: str, version: str) -> None:
        text = (toolchain.go_root(version) / "src/runtime" / f"defs_linux_{arch}.go").read_text()
        self._word = arches.get(arch).word
        self._structs = dict(re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S))

    def size(self, kind: str) -> tuple[int, int]:
        """Bytes and alignment of a type."""
        if array := re.fullmatch(r"\[(\d+)\](\S+)", kind):
            size, alignment = self.size(array[2])
            return int(array[1]) * size, alignment
        if kind == "byte":
            return 1, 1
        if kind.startswith("*") or kind == "uintptr":
            return self._word, self._word
        if number := re.fullmatch(r"u?int(\d+)", kind):
            size = int(number[1]) // 8
            return size, min(size, self._word)
        *_, last = self.members(kind).values()
        alignment = max(self.size(member)[1] for _, member in self._lines(kind))
        return -(-last[1] // alignment) * alignment, alignment

    def members(self, struct: str) -> dict[str, tuple[int, int]]:
        """Where each begins and ends."""
        found, end = {}, 0
        for name, kind in self._lines(struct):
            size, alignment = self.size(kind)
            start = -(-end // alignment) * alignment
            found[name], end = (start, start + size), start + size
        return found

    def _lines(self, struct: str) -> list[tuple[str, str]]:
        return re.findall(r"^\t(\w+)\s+(\S+)", self._structs[struct], re.M)


@cache
def _defs(arch: str, version: str) -> _Defs:
    return _Defs(arch, version)


@each
@pytest.mark.parametrize("version", toolchain.VERSIONS)
def test_the_context_is_where_go_reads_it(arch: str, version: str) -> None:
    defs, frame = _defs(arch, version), SIGNALS[arch].frame
    context, machine = defs.members("ucontext"), defs.members("sigcontext")
    base = frame.context + context["uc_mcontext"][0]
    for register, offset in frame.registers.items():
        assert base + machine[_NAMES[arch].get(register, register)][0] == offset, register
    for role, names in _WORDS.items():
        name = next(name for name in names if name in machine)
        assert base + machine[name][0] == getattr(frame, role), role
    assert base + machine["oldmask"][0] == frame.old_mask
    assert frame.context + context["uc_stack"][0] == frame.stack
    assert frame.context + context["uc_sigmask"][0] == frame.mask


@each
@pytest.mark.parametrize("version", toolchain.VERSIONS)
def test_the_structs_of_the_calls_are_gos(arch: str, version: str) -> None:
    defs, structs = _defs(arch, version), SIGNALS[arch].structs
    action = {name.removeprefix("sa_"): place for name, place in defs.members("sigactiont").items()}
    assert {name: (field.offset, field.offset + field.size) for name, field in structs.action.items()} == action
    assert defs.size("sigactiont")[0] == structs.action_size
    stack = defs.members("stackt")
    for name, member in {"address": "ss_sp", "flags": "ss_flags", "size": "ss_size"}.items():
        field = structs.stack[name]
        assert (field.offset, field.offset + field.size) == stack[member]
    assert defs.size("stackt")[0] == structs.stack_size
    assert defs.members("siginfoFields")["si_addr"][0] == structs.info_union
    tid = defs.members("sigeventFields")["sigev_notify_thread_id"][0]
    assert tid == arches.get(arch).word + 8
