"""What `run` makes of --dir, --module, --out and --env: which folders, where the guest starts, what is saved."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from emu.commands import folders
from emu.commands.folders import environment, files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package of a module, as working folder."""
    folder = tmp_path / "module" / "part"
    folder.mkdir(parents=True)
    (tmp_path / "module" / "go.mod").write_text("module m\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PWD", raising=False)
    monkeypatch.setattr(folders, "_ZONES", str(tmp_path / "zones"))
    return folder


def test_nothing_is_given_unless_asked_for(here: Path) -> None:
    assert Path.cwd() == here
    found = files((), (), False, "program", ("-test.cpuprofile=cpu.out",))
    assert (found.folders, found.start, found.outs) == ((), "/", ())


def test_where_the_guest_starts(here: Path, tmp_path: Path) -> None:
    top = str(tmp_path)
    assert files((top,), (), False, "program", ()).start == str(here)
    assert files((f"{top}:/w",), (), False, "program", ()).start == "/w/module/part"
    assert files((f"{top}:/w", ".:/deep"), (), False, "program", ()).start == "/deep", "the nearest one"
    assert files((f"{top}:/",), (), False, "program", ()).start == "/module/part"
    assert files(("/usr",), (), False, "program", ()).start == "/"
    assert files(("..",), (), False, "program", ()).folders == (("..", str(here.parent)),)


def test_the_module_is_the_nearest_folder_upwards_with_a_go_mod(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = files((), (), True, "program", ())
    assert found.folders == ((str(here.parent), str(here.parent)),)
    assert found.start == str(here)
    (here.parent / "go.mod").unlink()
    monkeypatch.chdir(here)
    assert files((), (), True, "program", ()).folders == ((str(here), str(here)),)


def test_a_folder_has_the_name_that_its_user_knows(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "known").symlink_to(here.parent)
    monkeypatch.setenv("PWD", str(tmp_path / "known" / "part"))
    found = files((), (), True, "program", ())
    assert found.folders == ((str(tmp_path / "known"),) * 2,)
    assert found.start == str(tmp_path / "known" / "part")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert files((), (), True, "program", ()).start == str(here), "PWD is another folder"
    monkeypatch.setenv("PWD", "relative")
    assert files((), (), True, "program", ()).start == str(here)


def test_what_a_test_binarys_flags_name_is_saved(here: Path, tmp_path: Path) -> None:
    words = ("-test.v=true", "-test.outputdir=/out", "-test.cpuprofile=cpu", "--test.memprofile=/abs/mem",
             "-test.trace=", "-test.artifacts=true", f"-test.gocoverdir={tmp_path}", "-x.blockprofile=no", "argument",
             "-test.mutexprofile=no")
    found = files((), ("a", "/b:c"), True, "program", words)
    paths = ["/out/cpu", "/abs/mem", str(tmp_path), "/out/_artifacts"]
    assert found.outs == (("a", str(here / "a")), ("/b", str(here / "c")), *((path, path) for path in paths))
    assert found.folders == ((str(here.parent),) * 2, (str(tmp_path),) * 2), "coverage is read, too"
    plain = files((), (), True, "program", ("-test.coverprofile=c.out",))
    assert plain.outs == ((str(here / "c.out"),) * 2,)
    assert files((), (), True, "program", ("--", "-test.coverprofile=c.out")).outs == ()


def test_with_a_module_come_time_zones_and_what_the_go_command_builds(here: Path, tmp_path: Path) -> None:
    built, zones = tmp_path / "go-build123", tmp_path / "zones"
    (built / "b001" / "coverage").mkdir(parents=True)
    zones.mkdir()
    words = (f"-test.gocoverdir={built}/b001/coverage",)
    found = files((), (), True, f"{built}/b001/part.test", words)
    assert [path for _, path in found.folders] == [str(p) for p in (here.parent, built, built / "b001/coverage", zones)]
    assert files((), (), False, f"{built}/b001/part.test", words).folders == ()
    mine = files((f".:{zones}",), (), True, "program", ())
    assert mine.folders == ((".", str(zones)), (str(here.parent),) * 2), "what is given otherwise stays"


def test_environment_of_a_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "a=b")
    monkeypatch.setenv("GOFLAGS", "-v")
    monkeypatch.delenv("NONE", raising=False)
    assert environment(("MINE", "NONE", "X=", "Y=1=2"), None) == {"MINE": "a=b", "X": "", "Y": "1=2"}
    found = environment(("GOFLAGS=",), "/w")
    assert (found["PWD"], found["GOFLAGS"]) == ("/w", "")
    assert all(name == "PWD" or name.startswith("GO") for name in found)
    for text in ("", "=x", "a\0b"):
        with pytest.raises(click.BadParameter):
            environment((text,), None)
