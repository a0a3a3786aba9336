"""Where our modern sources and the routines of a real binary of the same release may leave different things behind.

(arch, routine) -> register or word -> why it is free to differ. What a contract carries exactly is never free.
"""

from __future__ import annotations

from collections.abc import Mapping

_INDIRECT = "holds the address of a function that it jumps to through this register; nothing is passed in it"
_SCRATCH = "scratch: every register but those carried is free when newstack is entered"
_RETURNED = "scratch: free once fn was called"
_BEHIND = "a return PC that nobody uses: behind a call of abort, our last instruction, lies the next routine"
_HELPER = "below SP, dead: the frame of the helper that fills g.sched there; ours does it in line"
_ISCGO = "scratch: the address of iscgo, which lies elsewhere"

DIFFERENCES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("386", "mcall"): {"eax": _INDIRECT},
    ("386", "systemstack"): {
        "eax": _INDIRECT,
        "ebx": _RETURNED,
        "esi": _RETURNED,
        "esp": "at abort: the helper that finds the stale ctxt is one call deeper",
        "g stack+0xff0": _HELPER,
        "g stack+0xff4": _HELPER,
        "g stack+0xff8": _HELPER,
        "g stack+0xffc": _HELPER,
    },
    ("386", "morestack"): {"esi": _SCRATCH, "edi": _SCRATCH, "g0 stack+0x1fbc": _BEHIND},
    ("386", "morestack_noctxt"): {"esi": _SCRATCH, "edi": _SCRATCH},
    ("amd64", "systemstack"): {
        "rax": _INDIRECT,
        "rsp": "at abort: the helper that finds the stale ctxt is one call deeper",
        "g stack+0xfe8": _HELPER,
        "g stack+0xff0": _HELPER,
    },
    ("amd64", "morestack"): {"g0 stack+0x1f78": _BEHIND},
    ("arm", "mcall"): {"r11": _ISCGO, "lr": "spoiled by the call that writes g's TLS word; dead before a refusal"},
    ("arm", "systemstack"): {
        "r0": _INDIRECT,
        "r11": _ISCGO,
        "lr": "free after a return, and at abort: spoiled by calls of helpers that ours does in line",
    },
    ("arm", "morestack"): {"r11": _ISCGO},
    ("arm", "morestack_noctxt"): {"r11": _ISCGO},
}
