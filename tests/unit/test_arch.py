"""The records of the architectures are complete and name only what exists."""


import pytest

import arch
from arch.model import Arch

RECORDS = list(arch.ARCHES.values())
each = pytest.mark.parametrize("one", RECORDS, ids=lambda one: one.name)


def test_get_finds_by_go_name() -> None:
    assert list(arch.ARCHES) == ["386", "amd64", "arm"]
    assert arch.get("arm").name == "arm"
    with pytest.raises(KeyError, match="no architecture 'x86_64'; there are 386, amd64, arm"):
        arch.get("x86_64")


@each
def test_roles_name_registers(one: Arch) -> None:
    assert set(one.roles.values()) <= set(one.registers)
    assert len(set(one.registers)) == len(one.registers)
    assert {"sp", "pc", "flags", "ctxt", "result"} <= set(one.roles)
    assert one.call.return_on_stack == ("link" not in one.roles)
    assert one.bits == 8 * one.word
    assert len(one.nop) % one.alignment == 0


@each
def test_the_kernel_entry_names_registers(one: Arch) -> None:
    entry = one.syscall
    assert {entry.number, entry.result, *entry.arguments, *entry.destroyed} <= set(one.registers)
    assert len(set(entry.arguments)) == 6
    assert set(entry.destroyed.values()) <= set(one.roles)
    assert entry.result not in entry.destroyed


@each
def test_the_c_convention_names_registers(one: Arch) -> None:
    convention = one.c
    assert {*convention.arguments, *convention.kept} <= set(one.registers)
    assert not {*convention.kept} & {*convention.arguments, one.roles["sp"], one.roles["result"]}
    assert convention.alignment % one.word == 0
    assert convention.first_argument == (one.word if one.call.return_on_stack else 0)


def test_only_amd64_destroys_more_than_the_result() -> None:
    assert {one.name: dict(one.syscall.destroyed) for one in RECORDS} == {
        "386": {}, "amd64": {"rcx": "pc", "r11": "flags"}, "arm": {},
    }


@each
def test_g_is_in_a_segment_or_in_a_register(one: Arch) -> None:
    assert (one.tls.segment is None) == (one.tls.g_register is not None)
    if one.tls.g_register:
        assert {one.tls.g_register, one.tls.m_register} <= set(one.registers)


def test_the_register_abi_is_amd64s() -> None:
    assert [one.name for one in RECORDS if one.internal] == ["amd64"]
    internal = arch.get("amd64").internal
    assert internal is not None
    assert {*internal.arguments, internal.g, *internal.scratch} <= set(arch.get("amd64").registers)
    assert not {internal.g, *internal.scratch} & set(internal.arguments)


@each
def test_words_wrap(one: Arch) -> None:
    assert one.mask == (1 << one.bits) - 1
    assert one.unpack(one.pack(-2)) == one.mask - 1
    assert one.signed(one.mask) == -1
    assert one.signed(one.mask >> 1) == one.mask >> 1
    assert one.pack(1) == b"\x01" + bytes(one.word - 1)


@each
def test_records_cannot_be_changed(one: Arch) -> None:
    with pytest.raises(AttributeError):
        one.word = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        one.roles["sp"] = "r7"  # type: ignore[index]
