"""What system calls have given, in words."""

from __future__ import annotations

import pytest

from arch.calltext import answer

WORD = (1 << 32) - 1


@pytest.mark.parametrize(
    ("name", "result", "text"),
    [
        ("read", 17, "17"), ("close", -9, "-EBADF"), ("mmap2", -12, "-ENOMEM"), ("mmap2", -0x4000_0000, "0xc0000000"),
        ("brk", 0x9000, "0x9000"), ("read", -4095, "-4095"), ("getpid", -4096, "-4096"), ("futex", 0, "0"),
    ],
)  # fmt: skip
def test_answers(name: str, result: int, text: str) -> None:
    assert answer(name, result, WORD) == text
