"""Hypothesis strategies: statements that are right, and statements that may be anything."""

from hypothesis import strategies as st

CONDITIONS = ["", "eq", "ne", "hs", "lo", "mi", "pl", "hi", "ls", "ge", "lt", "gt", "le"]
WORDS = {
    "386": ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"],
    "amd64": ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))],
    "arm": [*(f"r{n}" for n in range(13)), "sp", "lr"],
}


def _x86_memory(name: str) -> st.SearchStrategy[str]:
    register = st.sampled_from(WORDS[name])
    index = st.sampled_from([r for r in WORDS[name] if r not in ("esp", "rsp")])
    size = "dword ptr" if name == "386" else "qword ptr"
    offset = st.one_of(st.integers(-0x90, 0x90), st.integers(-(1 << 31), (1 << 31) - 1))
    segment = st.sampled_from(["", "", "fs:", "gs:"])
    return st.one_of(
        st.builds("{} {}[{}]".format, st.just(size), segment, st.integers(-(1 << 31), (1 << 31) - 1)),
        st.builds("{} {}[{} + {}]".format, st.just(size), segment, register, offset),
        st.builds(
            "{} {}[{} + {}*{} - {}]".format,
            st.just(size),
            segment,
            register,
            index,
            st.sampled_from([1, 2, 4, 8]),
            offset,
        ),
    )


def _x86(name: str) -> st.SearchStrategy[str]:
    register, memory = st.sampled_from(WORDS[name]), _x86_memory(name)
    number = st.one_of(st.integers(-0x90, 0x90), st.integers(-(1 << 31), (1 << 31) - 1))
    sums = st.sampled_from(["mov", "add", "sub", "cmp", "and", "or", "xor", "adc", "sbb"])
    jumps = st.sampled_from(["jmp", "call", "je", "jne", "jb", "jbe", "ja", "jae", "jz", "jnc"])
    return st.one_of(
        st.builds("{} {}, {}".format, sums, register, st.one_of(register, memory, number)),
        st.builds("{} {}, {}".format, sums, memory, st.one_of(register, number)),
        st.builds("lea {}, {}".format, register, memory),
        st.builds("{} {}".format, st.sampled_from(["push", "pop", "inc", "neg"]), st.one_of(register, memory)),
        st.builds("push {}".format, number),
        st.builds("{} {}".format, jumps, st.integers(0, 0x7FFFFFFF)),
    )


def _rotated(byte: int, turn: int) -> int:
    return (byte << turn | byte >> 32 - turn) & 0xFFFFFFFF


def _listed(numbers: set[int]) -> str:
    return ", ".join("lr" if n == 14 else f"r{n}" for n in sorted(numbers))


def _arm_place(register: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    offset = st.integers(-4095, 4095)
    return st.one_of(
        st.builds("[{}, #{}]".format, register, offset),
        st.builds("[{}, {}{}, lsl #{}]".format, register, st.sampled_from(["", "-"]), register, st.integers(0, 31)),
        st.builds("[sp, #{}]!".format, offset),
        st.builds("[sp], #{}".format, offset),
    )


def _arm() -> st.SearchStrategy[str]:
    register, condition = st.sampled_from(WORDS["arm"]), st.sampled_from(CONDITIONS)
    shift = st.one_of(
        st.just(""),
        st.builds(", {} #{}".format, st.sampled_from(["lsl", "lsr", "asr", "ror"]), st.integers(1, 31)),
        st.builds(", {} {}".format, st.sampled_from(["lsl", "lsr"]), register),
    )
    number = st.builds(_rotated, st.integers(0, 255), st.sampled_from(range(0, 32, 2)))
    second = st.one_of(st.builds("#{}".format, number), st.builds("{}{}".format, register, shift))
    some = st.sets(st.sampled_from([*range(12), 14]), min_size=1, max_size=6).map(_listed)
    sums = st.sampled_from(["add", "sub", "and", "orr", "eor", "bic", "rsb", "adds", "subs"])
    moves = st.sampled_from(["mov", "mvn", "cmp", "cmn", "tst", "teq"])
    target = st.integers(0, 0x7FFFFF).map(lambda n: 4 * n)
    low = st.sampled_from(WORDS["arm"][:12])
    return st.one_of(
        st.builds("{}{} {}, {}, {}".format, sums, condition, register, register, second),
        st.builds("{}{} {}, {}".format, moves, condition, register, second),
        st.builds("{}{} {}, {}".format, st.sampled_from(["ldr", "str", "ldrb"]), condition, low, _arm_place(register)),
        st.builds("{}{} {}".format, st.sampled_from(["b", "bl"]), condition, target),
        st.builds("{}{} {{{}}}".format, st.sampled_from(["push", "pop"]), condition, some),
        st.builds("{}{} r12!, {{{}}}".format, st.sampled_from(["ldm", "stm", "stmdb"]), condition, some),
    )


RIGHT = {"386": _x86("386"), "amd64": _x86("amd64"), "arm": _arm()}

_SPLINTERS = [
    "+", "-", "*", "[", "]", "{", "}", "(", ")", "!", "^", "#", "=", ",", ":", ";", "\\", '"', "'", "%", "$", "@",
    "/*", "//", "\n", "\t", " ", "\x00", "\xe9", "0x", "017", "10h", "9" * 40, "rax", "r0", "ah", "r8", "xmm0",
    "st(1)", "ptr", "byte ptr", "rip", "gs:", "lsl", "lock", "rep", ".text", ".zero", ".align", ".macro m\n", ".endm",
    ".incbin", ".uleb128", "data16", "f:", ".f:", "ldr r0, =", "{r0-r12}", "#-1", "movsd", "stosb",
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, name: str) -> str:
    """A right statement with pieces cut out and splinters put in."""
    text = draw(RIGHT[name])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 6)))
        text = text[:start] + draw(st.sampled_from(["", *_SPLINTERS])) + text[end:]
    return text
