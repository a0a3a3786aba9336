"""What the kernel tells a new program by the auxiliary vector, and the page of helpers that it maps on arm.

Sources: getauxval(3); the kernel's uapi headers (auxvec.h, hwcap.h); its document on kernel-provided user helpers.
"""

from __future__ import annotations

from collections.abc import Mapping

from arch.model import Arch

_PAGESZ, _ENTRY, _UID, _EUID, _GID, _EGID = 6, 9, 11, 12, 13, 14
_HWCAP, _CLKTCK, _SECURE, _RANDOM, _EXECFN, _PLATFORM_END = 16, 17, 23, 25, 31, 0

USER = 1000
"""The user and group that every guest runs as."""

# What the CPU can do. arm: swp, half, fast multiply, vfp, edsp, neon, vfpv3, tls, vfpv4, idiv; x86 asks the CPU.
HARDWARE: Mapping[str, int] = {"386": 0, "amd64": 0, "arm": 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x1000 | 0x2000 | 0x8000}


def entries(arch: Arch, page: int, entry: int, random: int, path: int) -> list[tuple[int, int]]:
    """The vector as pairs of words; ``random`` and ``path`` are addresses of 16 random bytes and of a string."""
    return [
        (_PAGESZ, page), (_ENTRY, entry), (_UID, USER), (_EUID, USER), (_GID, USER), (_EGID, USER),
        (_HWCAP, HARDWARE[arch.name]), (_CLKTCK, 100), (_SECURE, 0), (_RANDOM, random), (_EXECFN, path),
        (_PLATFORM_END, 0),
    ]  # fmt: skip


def _arm_vectors() -> bytes:
    """The end of the vector page: helpers at fixed addresses, each a few instructions, called with a link."""
    page = bytearray(0x1000)

    def put(offset: int, *instructions: int) -> None:
        for index, instruction in enumerate(instructions):
            page[offset + 4 * index : offset + 4 * index + 4] = instruction.to_bytes(4, "little")

    # 0x0f60 compare and exchange 64 bits: r0 -> old, r1 -> new, r2 -> where; r0 = 0 and carry if exchanged
    put(
        0xF60,
        0xE92D_40F0,  # push {r4, r5, r6, r7, lr}
        0xE1C0_40D0,  # ldrd r4, r5, [r0]
        0xE1C1_60D0,  # ldrd r6, r7, [r1]
        0xE1B2_0F9F,  # ldrexd r0, r1, [r2]
        0xE050_3004,  # subs r3, r0, r4
        0x0051_3005,  # subeqs r3, r1, r5
        0x01A2_3F96,  # strexdeq r3, r6, r7, [r2]
        0x0333_0001,  # teqeq r3, #1
        0x0AFF_FFF9,  # beq to the ldrexd
        0xE273_0000,  # rsbs r0, r3, #0
        0xE8BD_80F0,  # pop {r4, r5, r6, r7, pc}
    )
    put(0xFA0, 0xF57F_F05B, 0xE12F_FF1E)  # memory barrier: dmb ish; bx lr
    # 0x0fc0 compare and exchange: r0 old, r1 new, r2 where; r0 = 0 and carry if exchanged
    put(
        0xFC0,
        0xE192_3F9F,  # ldrex r3, [r2]
        0xE053_3000,  # subs r3, r3, r0
        0x0182_3F91,  # strexeq r3, r1, [r2]
        0x0333_0001,  # teqeq r3, #1
        0x0AFF_FFFA,  # beq to the start
        0xE273_0000,  # rsbs r0, r3, #0
        0xE12F_FF1E,  # bx lr
    )
    put(0xFE0, 0xEE1D_0F70, 0xE12F_FF1E)  # TLS: mrc p15, 0, r0, c13, c0, 3; bx lr
    put(0xFFC, 5)  # version of the helpers: 5 has the 64-bit exchange
    put(SIGRETURN_ARM, 0xE3A0_70AD, 0xEF00_0000)  # mov r7, #rt_sigreturn; svc 0
    return bytes(page)


SIGRETURN_ARM = 0x500
"""Offset in the page of the code that a signal handler returns to; Go passes no restorer on arm."""

VECTOR_PAGE: Mapping[str, tuple[int, bytes]] = {"arm": (0xFFFF_0000, _arm_vectors())}
"""arch -> address and bytes of a page that is there from the start."""
