"""The engine, Unicorn, by the C functions of its library: what machines need of it. Nothing else knows of it.

The package's Python binding is left alone: importing it takes longer than a short run of a machine. Functions and
structures are those of the package's include/unicorn/unicorn.h and x86.h, numbers those of its modules of constants.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from ctypes import c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any

from arch.model import Arch


class EngineError(Exception):
    """The engine refused something."""


def _package() -> str:
    """The folder of the package, which is not imported."""
    spec = find_spec("unicorn")
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        raise ImportError("the package unicorn, the engine, is not installed")
    return places[0]


def _library() -> Any:
    """The library: of the folder in LIBUNICORN_PATH, of the package, or of the system.

    Through PyDLL a call keeps the interpreter lock, which halves the price of every Python callback.
    """
    name = {"darwin": "libunicorn.2.dylib", "win32": "unicorn.dll"}.get(sys.platform, "libunicorn.so.2")
    folders = (os.environ.get("LIBUNICORN_PATH"), os.path.join(_PACKAGE, "lib"))
    found = [path for folder in folders if folder and os.path.exists(path := os.path.join(folder, name))]
    try:
        return ctypes.PyDLL(found[0] if found else name)
    except OSError as error:
        raise ImportError(f"the library of the package unicorn cannot be loaded: {error}") from error


@cache
def _constants(name: str) -> Any:
    """One of the package's modules of constants."""
    spec = spec_from_file_location(f"unicorn.{name}", os.path.join(_PACKAGE, f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"the package unicorn has no {name}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_PACKAGE = _package()
_lib = _library()
_uc = _constants("unicorn_const")
_REGISTERS = {"x86": ("x86_const", "UC_X86_REG_"), "arm": ("arm_const", "UC_ARM_REG_")}  # ISA -> their names

READ, WRITE, EXECUTE = _uc.UC_PROT_READ, _uc.UC_PROT_WRITE, _uc.UC_PROT_EXEC
WRITES = _uc.UC_MEM_WRITE
"""The kind of access that a store is, as callbacks are told."""
ACCESS = {
    _uc.UC_MEM_READ_UNMAPPED: "read", _uc.UC_MEM_READ_PROT: "read",
    _uc.UC_MEM_WRITE_UNMAPPED: "write", _uc.UC_MEM_WRITE_PROT: "write",
    _uc.UC_MEM_FETCH_UNMAPPED: "fetch", _uc.UC_MEM_FETCH_PROT: "fetch",
}
"""What an access that is not allowed wanted, by its kind."""
HOOKS: dict[str, int] = {
    "block": _uc.UC_HOOK_BLOCK, "code": _uc.UC_HOOK_CODE, "interrupt": _uc.UC_HOOK_INTR,
    "syscall": _uc.UC_HOOK_INSN, "fill": _uc.UC_HOOK_TLB_FILL, "invalid": _uc.UC_HOOK_MEM_INVALID,
    "read": _uc.UC_HOOK_MEM_READ, "write": _uc.UC_HOOK_MEM_WRITE, "no code": _uc.UC_HOOK_MEM_FETCH_UNMAPPED,
    "access": _uc.UC_HOOK_MEM_READ | _uc.UC_HOOK_MEM_WRITE,
}
"""What can be hooked."""

INTERRUPT_CALL = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)
SYSCALL_CALL = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
INVALID_CALL = ctypes.CFUNCTYPE(
    ctypes.c_bool, c_void_p, c_int, c_uint64, c_int, ctypes.c_int64, c_void_p
)  # fmt: skip

for _name, _types in {
    "uc_open": (c_int, c_int, c_void_p), "uc_close": (c_void_p,), "uc_strerror": (c_int,), "uc_free": (c_void_p,),
    "uc_ctl": (c_void_p, c_int), "uc_emu_start": (c_void_p, c_uint64, c_uint64, c_uint64, c_size_t),
    "uc_emu_stop": (c_void_p,),
    "uc_hook_add": (c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_uint64, c_uint64),
    "uc_hook_del": (c_void_p, c_size_t),
    "uc_mem_map_ptr": (c_void_p, c_uint64, c_size_t, c_uint32, c_void_p),
    "uc_mem_unmap": (c_void_p, c_uint64, c_size_t), "uc_mem_protect": (c_void_p, c_uint64, c_size_t, c_uint32),
    "uc_mem_regions": (c_void_p, c_void_p, c_void_p), "uc_context_alloc": (c_void_p, c_void_p),
    "uc_context_save": (c_void_p, c_void_p), "uc_context_restore": (c_void_p, c_void_p),
    "uc_context_free": (c_void_p,),
}.items():
    getattr(_lib, _name).argtypes = _types
_lib.uc_strerror.restype = ctypes.c_char_p

# For those who call with ctypes' own objects, very often: argument types would make it cost more than twice as much.
reg_read, reg_write, read_batch = _lib.uc_reg_read, _lib.uc_reg_write, _lib.uc_reg_read_batch
start, stop = _lib.uc_emu_start, _lib.uc_emu_stop


def address(function: str) -> int:
    """Where a function of the library is, for native code."""
    return ctypes.cast(getattr(_lib, function), c_void_p).value or 0


class _Region(ctypes.Structure):
    _fields_ = (("begin", c_uint64), ("end", c_uint64), ("protection", c_uint32))


class _Table(ctypes.Structure):
    """A register that holds where a table of the CPU's is."""

    _fields_ = (("selector", ctypes.c_uint16), ("base", c_uint64), ("limit", c_uint32), ("flags", c_uint32))


class _Msr(ctypes.Structure):
    _fields_ = (("number", c_uint32), ("value", c_uint64))


class State:
    """A CPU's registers, kept in the library's memory."""

    def __init__(self, engine: Engine) -> None:
        self.handle = c_void_p()
        engine.ask("uc_context_alloc", ctypes.byref(self.handle))

    def __del__(self, free: Any = _lib.uc_context_free) -> None:
        if self.handle:
            free(self.handle)


class Engine:
    """One CPU and its address space. ``handle``: for the library's functions; ``translations``: room for code, bytes.

    Methods raise EngineError for what the library refuses. Addresses and sizes are in bytes.
    """

    def __init__(self, arch: Arch, translations: int) -> None:
        module, self._prefix = _REGISTERS[arch.isa]
        self._names = _constants(module)
        kind, mode = _uc.UC_ARCH_ARM, _uc.UC_MODE_ARM
        if arch.isa == "x86":
            kind, mode = _uc.UC_ARCH_X86, _uc.UC_MODE_64 if arch.bits == 64 else _uc.UC_MODE_32
        self.handle = c_void_p()
        self._held: dict[int, Any] = {}
        _check("uc_open", _lib.uc_open(kind, mode, ctypes.byref(self.handle)))
        self._control(_uc.UC_CTL_TCG_BUFFER_SIZE, c_uint32(translations))  # the default reserves 1 GiB for each

    def __del__(self) -> None:
        self.close()

    def close(self, close: Any = _lib.uc_close) -> None:
        """Give everything back. Nothing else may be asked of it afterwards."""
        if self.handle:
            close(self.handle)
            self.handle = c_void_p()
        self._held.clear()

    def ask(self, function: str, *arguments: Any) -> None:
        """Call a function of the library that answers with an error number."""
        _check(function, getattr(_lib, function)(self.handle, *arguments))

    def _control(self, what: int, *arguments: Any) -> None:
        self.ask("uc_ctl", _uc.UC_CTL_IO_WRITE << 30 | len(arguments) << 26 | what, *arguments)

    # memory

    def map(self, address: int, size: int, protection: int, host: int) -> None:
        """Let host memory be the guest's, at ``address``."""
        self.ask("uc_mem_map_ptr", address, size, protection, host)

    def unmap(self, address: int, size: int) -> None:
        self.ask("uc_mem_unmap", address, size)

    def protect(self, address: int, size: int, protection: int) -> None:
        self.ask("uc_mem_protect", address, size, protection)

    def regions(self) -> list[tuple[int, int, int]]:
        """What is mapped: first and last address, protection."""
        found, count = ctypes.POINTER(_Region)(), c_uint32()
        self.ask("uc_mem_regions", ctypes.byref(found), ctypes.byref(count))
        regions = [(found[n].begin, found[n].end, found[n].protection) for n in range(count.value)]
        _lib.uc_free(found)
        return regions

    # running

    def hook(self, kind: int, callback: Any, data: int = 0, begin: int = 1, end: int = 0) -> int:
        """Have the engine call a function for one or more of `HOOKS`: everywhere if ``begin`` > ``end``.

        ``data`` is handed to it. Returns the hook's own handle, for `unhook`.
        """
        extra = (c_int(self._names.UC_X86_INS_SYSCALL),) if kind == _uc.UC_HOOK_INSN else ()
        hook = c_size_t()
        self.ask("uc_hook_add", ctypes.byref(hook), kind, callback, data, begin, end, *extra)
        self._held[hook.value] = callback
        return hook.value

    def unhook(self, hook: int) -> None:
        """Have the engine call a hook's function no more."""
        self.ask("uc_hook_del", hook)
        del self._held[hook]

    def exit_at(self, addresses: Iterable[int]) -> None:
        """Where running ends."""
        exits = sorted(addresses)
        self._control(_uc.UC_CTL_UC_USE_EXITS, c_int(1))
        self._control(_uc.UC_CTL_UC_EXITS, (c_uint64 * len(exits))(*exits), c_size_t(len(exits)))

    def ask_for_pages(self, wanted: bool) -> None:
        """Translate addresses by the hook ``fill``, or by the CPU's own tables, which allow all that is mapped."""
        self._control(_uc.UC_CTL_TLB_TYPE, c_uint32(_uc.UC_TLB_VIRTUAL if wanted else _uc.UC_TLB_CPU))

    def flush_pages(self) -> None:
        """Forget translated addresses."""
        self._control(_uc.UC_CTL_TLB_FLUSH)

    def flush_code(self) -> None:
        """Forget translated code."""
        self._control(_uc.UC_CTL_TB_FLUSH)

    def flush_code_in(self, begin: int, end: int) -> None:
        """Forget the translated code of a range."""
        self._control(_uc.UC_CTL_TB_REMOVE_CACHE, c_uint64(begin), c_uint64(end))

    def stop(self) -> None:
        """For callbacks: end the run."""
        stop(self.handle)

    # registers

    def number(self, register: str) -> int:
        """The library's number of a register, in which all names are upper case."""
        return int(getattr(self._names, self._prefix + register.upper()))

    def read(self, register: str) -> int:
        """A register of at most 16 bytes."""
        value = (c_uint64 * 2)()
        self.ask("uc_reg_read", c_int(self.number(register)), value)
        return int.from_bytes(value, "little")

    def write(self, register: str, value: int) -> None:
        """Write a register of at most 16 bytes."""
        self._write(register, (c_uint64 * 2)(value & (1 << 64) - 1, value >> 64))

    def write_gdtr(self, base: int, limit: int) -> None:
        """x86: where the segment descriptors are."""
        self._write("gdtr", ctypes.byref(_Table(0, base, limit, 0)))

    def write_msr(self, number: int, value: int) -> None:
        """x86: write a model-specific register."""
        self._write("msr", ctypes.byref(_Msr(number, value)))

    def _write(self, register: str, value: Any) -> None:
        self.ask("uc_reg_write", c_int(self.number(register)), value)

    def save(self) -> State:
        """All registers, for `restore`. They hold noise: two are not to be compared."""
        state = State(self)
        self.ask("uc_context_save", state.handle)
        return state

    def restore(self, state: State) -> None:
        self.ask("uc_context_restore", state.handle)


def _check(function: str, error: int) -> None:
    if error:
        raise EngineError(f"{function}: {_lib.uc_strerror(error).decode()}")
