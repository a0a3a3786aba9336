"""Which packages' tests are run, and the commands that run them."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import toolchain

PACKAGES = (
    "errors", "sort", "slices", "strings", "bytes", "strconv", "unicode/utf8", "math", "math/bits", "container/list",
    "container/heap", "context", "sync", "sync/atomic", "bufio", "text/tabwriter", "text/template", "encoding/json",
    "encoding/binary", "hash/crc32", "io", "path/filepath", "os/exec", "os/signal",
)  # fmt: skip
QUICK = ("errors", "context", "sync", "io", "path/filepath", "os/exec")
"""Those that are tested at each change, in their short form."""
OURS, QEMU, HOST = "stackcarry", "QEMU", "host"
"""What runs a test binary."""

_QEMU = {"arm": ["qemu-arm"], "386": ["qemu-i386", "-E", "GODEBUG=asyncpreemptoff=1"], "amd64": ["qemu-x86_64"]}
"""The command and its options: signals that strike running code end a 386 program of Go under QEMU 7."""
_NATIVE = {"x86_64": ("386", "amd64"), "i686": ("386",), "armv7l": ("arm",)}
_NO_BUDGET = str(10**12)  # blocks: who runs a job bounds its CPU time
_RUN = (sys.executable, "-P", "-c", "from emu.cli import script; script()", "run")  # as the console script does


@dataclass(frozen=True)
class Job:
    """The tests of a package, built for an arch; ``short`` as in `go test -short`."""

    package: str
    goarch: str
    short: bool

    @property
    def folder(self) -> Path:
        """Where the tests run, as they do under `go test`: the package's own folder."""
        return toolchain.go_root("newest") / "src" / self.package

    def build(self) -> Path:
        """The test binary, made on first use."""
        return toolchain.build_tests("newest", self.goarch, self.package)

    def commands(self) -> dict[str, list[str]]:
        """The command of each runner that this host has."""
        limit = "2m" if self.short else "10m"  # QEMU is stuck in os/exec's now and then
        words = [str(self.build()), "-test.v=test2json", "-test.paniconexit0", f"-test.timeout={limit}"]
        if self.short:
            words.append("-test.short")
        given = ["--dir", str(toolchain.go_root("newest")), "--env", "GOROOT", "--env", "PWD", "--steps", _NO_BUDGET]
        found = {OURS: [*_RUN, "--summary", "--json", *given, *words]}
        qemu, *options = _QEMU[self.goarch]
        if shutil.which(qemu) is not None:
            found[QEMU] = [qemu, *options, *words]
        if sys.platform == "linux" and self.goarch in _NATIVE.get(platform.machine(), ()):
            found[HOST] = words
        return found

    def environment(self) -> dict[str, str]:
        """What the tests find, whoever runs them, as `go test` would have it. Compiled Python modules are kept, as they
        are for every user."""
        return {
            "GOROOT": str(toolchain.go_root("newest")), "HOME": os.environ.get("HOME", "/"), "LANG": "C",
            "PATH": os.environ.get("PATH", os.defpath), "PWD": str(self.folder), "TMPDIR": "/tmp",
        }  # fmt: skip
