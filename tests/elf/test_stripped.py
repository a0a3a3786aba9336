"""`check --elf` on programs that are stripped or built for less of a CPU: judged by the same checks, and all hold."""

from __future__ import annotations

import pytest
import toolchain

from asm.elf import ElfError
from emu import target as targets
from emu.check import check
from emu.routines import ROUTINES
from emu.target import Target
from emu.views.matrix import describe

STRIP = "-ldflags=-s -w"


def names(target: Target) -> list[tuple[str, str, str]]:
    """All checks of a binary's own routines, none of which may fail."""
    results = list(check(target, [name for name in ROUTINES if name in target.routines]))
    assert [describe(result) for result in results if result.check and not result.check.ok] == []
    return sorted((result.routine, result.scene, result.check.name) for result in results if result.check)


@pytest.fixture(scope="session")
def whole(go_version: str, goarch: str) -> list[tuple[str, str, str]]:
    return names(targets.of_binary(str(toolchain.build(go_version, goarch, toolchain.PROGRAM))))


def without_cgo(checks: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    return [found for found in checks if found[1] != "iscgo"]


def test_stripped(whole: list[tuple[str, str, str]], go_version: str, goarch: str) -> None:
    """Where iscgo is, a stripped binary does not say: arm's scene with it is left out."""
    target = targets.of_binary(str(toolchain.build(go_version, goarch, toolchain.PROGRAM, STRIP)))
    assert names(target) == without_cgo(whole)
    assert (len(without_cgo(whole)) < len(whole)) == (goarch == "arm")


@pytest.mark.arm
@pytest.mark.parametrize("goarch", ["arm"], indirect=True)
@pytest.mark.parametrize("setting", ["5", "6"])
def test_old_arm(setting: str, whole: list[tuple[str, str, str]], go_version: str) -> None:
    """With cgo these read the thread's word through the kernel's page of helpers, which scenes do not have."""
    target = targets.of_binary(str(toolchain.build(go_version, "arm", toolchain.PROGRAM, GOARM=setting)))
    assert names(target) == without_cgo(whole)


@pytest.mark.parametrize("goarch", ["386"], indirect=True)
def test_386_without_sse(whole: list[tuple[str, str, str]], go_version: str) -> None:
    target = targets.of_binary(str(toolchain.build(go_version, "386", toolchain.PROGRAM, GO386="softfloat")))
    assert names(target) == whole


@pytest.mark.parametrize("goarch", ["amd64"], indirect=True)
def test_amd64_of_the_second_level(whole: list[tuple[str, str, str]], go_version: str) -> None:
    target = targets.of_binary(str(toolchain.build(go_version, "amd64", toolchain.PROGRAM, GOAMD64="v2")))
    assert names(target) == whole


def test_unknown_layout_is_refused_with_the_reason() -> None:
    program = toolchain.build("newest", "386", toolchain.SMALL, STRIP, GOEXPERIMENT="arenas")
    with pytest.raises(ElfError, match=r"built by go1\.27\.\d+ with GOEXPERIMENT=arenas: of go1\.21 to go1\.27 alone"):
        targets.of_binary(str(program))
