"""Fixtures that several folders of tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import toolchain


@pytest.fixture(scope="session", params=toolchain.VERSIONS, ids=lambda version: f"go-{version}")
def go_version(request: pytest.FixtureRequest) -> str:
    """A Go toolchain of `toolchain.VERSIONS`: what a test asks for once runs with each."""
    version: str = request.param
    return version


@pytest.fixture(
    scope="session", params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in toolchain.GOARCHES]
)
def goarch(request: pytest.FixtureRequest) -> str:
    """An architecture by its Go name."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def go_binary(go_version: str, goarch: str) -> Path:
    """The executable of tests/goprog, built by each toolchain for each architecture."""
    return toolchain.build(go_version, goarch, toolchain.PROGRAM)
