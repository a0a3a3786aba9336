"""Byte offsets of G, M, Gobuf and Stktop in each era: field -> (on 32-bit, on 64-bit).

386 and arm agree in every era. A field that is itself a Gobuf stands here once, by its base (``sched``,
``morebuf``, ``gobuf``); `layouts` expands it from the era's own Gobuf. Sizes stand under ``size``.

Sources: the C eras by field order under the C compilers' rule (8-byte integers are 4-aligned on 386 and
arm, 8-aligned on amd64); modern from the DWARF of binaries built by Go 1.27.3.
"""

from __future__ import annotations

from collections.abc import Mapping

from arch.layout import Layout

Table = Mapping[str, tuple[int, int]]

# Which fields hold a whole Gobuf.
NESTED = {"g": "sched", "m": "morebuf", "stktop": "gobuf"}

E2011: Mapping[str, Table] = {
    "gobuf": {"sp": (0, 0), "pc": (4, 8), "g": (8, 16), "size": (12, 24)},
    "stktop": {
        "stackguard": (0, 0), "stackbase": (4, 8), "gobuf": (8, 16), "argsize": (20, 40), "argp": (24, 48),
        "free": (28, 56), "panic": (32, 64), "size": (36, 72),
    },
    "g": {
        "stackguard": (0, 0), "stackbase": (4, 8), "defer": (8, 16), "panic": (12, 24), "sched": (16, 32),
        "gcstack": (28, 56), "gcsp": (32, 64), "gcguard": (36, 72), "stack0": (40, 80), "entry": (44, 88),
        "alllink": (48, 96), "param": (52, 104), "status": (56, 112), "goid": (60, 116), "ispanic": (73, 137),
        "m": (76, 144), "size": (108, 208),
    },
    "m": {
        "g0": (0, 0), "morepc": (4, 8), "moreargp": (8, 16), "morebuf": (12, 24), "moreframesize": (24, 48),
        "moreargsize": (28, 52), "cret": (32, 56), "procid": (36, 64), "gsignal": (44, 72), "tls": (48, 80),
        "curg": (80, 112), "mallocing": (88, 124), "gcing": (92, 128), "locks": (96, 132), "size": (288, 360),
    },
}

E2014: Mapping[str, Table] = {
    "gobuf": {
        "sp": (0, 0), "pc": (4, 8), "g": (8, 16), "ctxt": (12, 24), "ret": (16, 32), "lr": (20, 40),
        "size": (24, 48),
    },
    "stktop": {
        "stackguard": (0, 0), "stackbase": (4, 8), "gobuf": (8, 16), "argsize": (32, 64), "panicwrap": (36, 68),
        "argp": (40, 72), "panic": (44, 80), "malloced": (45, 81), "size": (48, 88),
    },
    "g": {
        "stackguard0": (0, 0), "stackbase": (4, 8), "panicwrap": (8, 16), "defer": (12, 24), "panic": (16, 32),
        "sched": (20, 40), "syscallstack": (44, 88), "syscallsp": (48, 96), "syscallpc": (52, 104),
        "syscallguard": (56, 112), "stackguard": (60, 120), "stack0": (64, 128), "stacksize": (68, 136),
        "param": (72, 144), "status": (76, 152), "goid": (80, 160), "ispanic": (104, 192), "preempt": (107, 195),
        "m": (112, 200), "size": (152, 272),
    },
    "m": {
        "g0": (0, 0), "moreargp": (4, 8), "morebuf": (8, 16), "moreframesize": (32, 64), "moreargsize": (36, 68),
        "cret": (40, 72), "procid": (44, 80), "gsignal": (52, 88), "tls": (56, 96), "curg": (76, 136),
        "p": (84, 152), "mallocing": (96, 172), "gcing": (104, 180), "locks": (108, 184),
        "forkstackguard": (644, 1032), "size": (656, 1056),
    },
}

E2017: Mapping[str, Table] = {
    "gobuf": {
        "sp": (0, 0), "pc": (4, 8), "g": (8, 16), "ctxt": (12, 24), "ret": (16, 32), "lr": (20, 40),
        "bp": (24, 48), "size": (28, 56),
    },
    "g": {
        "stack.lo": (0, 0), "stack.hi": (4, 8), "stackguard0": (8, 16), "stackguard1": (12, 24),
        "_panic": (16, 32), "_defer": (20, 40), "m": (24, 48), "sched": (28, 56), "syscallsp": (56, 112),
        "syscallpc": (60, 120), "stktopsp": (64, 128), "param": (68, 136), "atomicstatus": (72, 144),
        "stackLock": (76, 148), "goid": (80, 152), "preempt": (108, 192), "throwsplit": (113, 197),
        "size": (212, 368),
    },
    "m": {
        "g0": (0, 0), "morebuf": (4, 8), "divmod": (32, 64), "procid": (36, 72), "gsignal": (44, 80),
        "tls": (56, 96), "curg": (84, 152), "p": (92, 168), "mallocing": (104, 188), "preemptoff": (112, 200),
        "locks": (120, 216),
        # Room for all of the above, not the true size, which was never computed.
        "size": (768, 1024),
    },
}

# Stack barriers (Go 1.5). Of m only what E2017's routines need is here, and where they need it; where m stood in g is
# not known, nor how large either was.
E2015: Mapping[str, Table] = {
    "gobuf": E2017["gobuf"],
    "m": E2017["m"],
    "g": {
        "stack.lo": (0, 0), "stack.hi": (4, 8), "stackguard0": (8, 16), "stackguard1": (12, 24),
        "_panic": (16, 32), "_defer": (20, 40), "stackAlloc": (24, 48), "sched": (28, 56), "syscallsp": (56, 112),
        "syscallpc": (60, 120), "stkbar.array": (64, 128), "stkbar.len": (68, 136), "stkbar.cap": (72, 144),
        "stkbarPos": (76, 152), "param": (80, 160), "atomicstatus": (84, 168), "stackLock": (88, 172),
        "goid": (92, 176), "m": (128, 224), "size": (256, 400),
    },
    "stkbar": {"savedLRPtr": (0, 0), "savedLRVal": (4, 8), "size": (8, 16)},
}

MODERN: Mapping[str, Table] = {
    "gobuf": {
        "sp": (0, 0), "pc": (4, 8), "g": (8, 16), "ctxt": (12, 24), "lr": (16, 32), "bp": (20, 40),
        "size": (24, 48),
    },
    "g": {
        "stack.lo": (0, 0), "stack.hi": (4, 8), "stackguard0": (8, 16), "stackguard1": (12, 24),
        "_panic": (16, 32), "_defer": (20, 40), "m": (24, 48), "sched": (28, 56), "syscallsp": (52, 104),
        "syscallpc": (56, 112), "syscallbp": (60, 120), "stktopsp": (64, 128), "param": (68, 136),
        "atomicstatus": (72, 144), "stackLock": (76, 148), "goid": (80, 152), "preempt": (101, 177),
        "throwsplit": (107, 183), "size": (288, 456),
    },
    "m": {
        "g0": (0, 0), "morebuf": (4, 8), "divmod": (28, 56), "procid": (32, 64), "gsignal": (40, 72),
        "tls": (72, 128), "curg": (100, 184), "p": (112, 208), "mallocing": (132, 240), "preemptoff": (140, 248),
        "locks": (148, 264), "size": (1240, 1832),
    },
}


def layouts(tables: Mapping[str, Table]) -> dict[str, Layout]:
    """The layout of an era on each architecture, by the architecture's name."""
    narrow, wide = _layout(tables, 4), _layout(tables, 8)
    return {"386": narrow, "amd64": wide, "arm": narrow}


def _layout(tables: Mapping[str, Table], word: int) -> Layout:
    column = 0 if word == 4 else 1
    offsets: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for struct, table in tables.items():
        for field, values in table.items():
            if field == "size":
                sizes[struct] = values[column]
            else:
                offsets[f"{struct}.{field}"] = values[column]
            if field == NESTED.get(struct):
                for inner, base in tables["gobuf"].items():
                    if inner != "size":
                        offsets[f"{struct}.{field}.{inner}"] = values[column] + base[column]
    return Layout(word=word, offsets=offsets, sizes=sizes)
