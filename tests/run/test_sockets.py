"""Whole Go programs that talk to themselves over sockets do so as on the host, and never to the host."""

from __future__ import annotations

import socket
import threading

import pytest
import toolchain
from whole import Program, Ran, reference, watched

SOCKETS = Program("sockets")


def checked(ran: Ran) -> None:
    """Nothing broke, nothing was asked for in vain."""
    assert ran.code == 0, ran.err
    (summary,) = ran.summary["summary"]
    assert summary["unknown"] == {}
    assert sum(summary["crossings"].values()) > 0
    assert "broken" not in ran.summary


@pytest.mark.parametrize("version", toolchain.VERSIONS)
def test_sockets_of_all_kinds(goarch: str, version: str) -> None:
    ours = watched(SOCKETS, version, goarch)
    checked(ours)
    theirs = reference(SOCKETS, version, goarch)
    if theirs is not None:
        assert ours.out == theirs.out, theirs.err
    assert ours.out.count(b"200 OK") == 6


def test_the_host_is_never_reached(goarch: str) -> None:
    """A port of this host that listens, an address beyond it, and a port that nobody has are all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        met: list[object] = []
        server.settimeout(0.2)

        def accept() -> None:
            try:
                met.append(server.accept())
            except TimeoutError:
                return

        waiting = threading.Thread(target=accept)
        waiting.start()
        ours = watched(Program("sockets", args=(f"127.0.0.1:{server.getsockname()[1]}",)), "newest", goarch)
        waiting.join()
    assert not met
    assert ours.out == b"tcp connection refused\nudp <nil>\n"
    beyond = watched(Program("sockets", args=("8.8.8.8:53",)), "newest", goarch)
    assert beyond.out == b"tcp network is unreachable\nudp network is unreachable\n"


def test_the_same_run_again_is_the_same(goarch: str) -> None:
    path = SOCKETS.build("newest", goarch)
    first, again = (watched(SOCKETS, "newest", goarch, "--seed", seed) for seed in ("7", "07"))
    assert path.exists()
    assert first.summary == again.summary
