"""The engine's library: what it refuses, and what it gives back."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import arch
from emu.engine import Engine, EngineError, State
from emu.hostmap import address_of, zeros
from emu.machine import Machine

PAGE = 0x1000
MIB = 1 << 20


@pytest.mark.parametrize("name", arch.ARCHES)
def test_a_refusal_names_the_function_and_the_reason(name: str) -> None:
    engine, page = Engine(arch.get(name), MIB), zeros(PAGE)
    engine.map(PAGE, PAGE, 3, address_of(page))
    with pytest.raises(EngineError, match=r"uc_mem_map_ptr: .*memory mapping"):
        engine.map(PAGE, PAGE, 3, address_of(page))
    assert engine.regions() == [(PAGE, 2 * PAGE - 1, 3)]


@pytest.mark.parametrize(("name", "register", "bits"), [
    ("386", "xmm7", 128), ("amd64", "xmm15", 128), ("amd64", "rax", 64), ("arm", "d8", 64), ("arm", "r0", 32),
])  # fmt: skip
def test_a_register_holds_all_its_bits(name: str, register: str, bits: int) -> None:
    engine, value = Engine(arch.get(name), MIB), 0xFEDC_BA98_7654_3210_0123_4567_89AB_CDEF
    engine.write(register, value)
    assert engine.read(register) == value & (1 << bits) - 1


def test_states_are_given_back() -> None:
    engine, gone = Engine(arch.get("amd64"), MIB), []
    before = _kept()
    for number in range(2000):
        engine.write("rax", number)
        state = engine.save()
        engine.write("rax", 0)
        engine.restore(state)
        assert engine.read("rax") == number
    weakref.finalize(state, gone.append, True)
    del state
    assert gone == [True]
    assert _kept() - before < 4 * MIB  # a state is some KiB


def _kept() -> int:
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


@pytest.mark.parametrize("name", arch.ARCHES)
def test_a_closed_machine_keeps_nothing(name: str) -> None:
    def made() -> Machine:
        machine = Machine(arch.get(name))
        machine.map(PAGE, 4 * MIB)
        machine.write(PAGE, b"x" * 4 * MIB)
        machine.hook("block", machine.recorder._callbacks[0])
        return machine

    made().close()
    kept, held = _kept(), []
    for _ in range(8):
        held.append(made())
        held[-1].close()
        held[-1].close()  # once more is no error
    assert _kept() - kept < 8 * MIB
    assert all(not list(machine.memory) for machine in held)


def test_a_machine_that_nobody_holds_is_closed() -> None:
    machine = Machine(arch.get("arm"))
    gone = weakref.ref(machine.engine)
    del machine
    gc.collect()
    assert gone() is None


def test_a_state_outlives_its_engine() -> None:
    engine = Engine(arch.get("386"), MIB)
    state: State = engine.save()
    engine.close()
    del engine
    assert state.handle


def test_without_its_package_an_import_says_so() -> None:
    code = "import sys; sys.modules['unicorn'] = None; import emu.engine"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "unicorn" in done.stderr.splitlines()[-1]
    assert "the engine, is not installed" in done.stderr


def test_without_its_library_an_import_says_so(tmp_path: Path) -> None:
    package = tmp_path / "unicorn"
    package.mkdir()
    (package / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import emu.engine"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].startswith("ImportError: the library of the package unicorn cannot be loaded")
