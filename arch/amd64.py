"""amd64: stack return PC, g below the fs base and, in the register ABI, in R14 (Go's asm_amd64.s)."""

from arch.model import Arch, CallConvention, CConvention, InternalAbi, SyscallConvention, Tls, frozen

ARCH = Arch(
    name="amd64",
    word=8,
    isa="x86",
    bits=64,
    elf_machine="EM_X86_64",
    registers=(
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
        "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
    ),
    roles=frozen({"sp": "rsp", "pc": "rip", "flags": "rflags", "ctxt": "rdx", "result": "rax", "fp": "rbp"}),
    flag_bits=frozen({"C": 0, "Z": 6, "S": 7, "O": 11}),
    flags_fixed=0x2,
    lazy_flags=rb"\x0f\xc7[\x08-\x0f\x48-\x4f\x88-\x8f]",  # cmpxchg8b, cmpxchg16b
    vectors=tuple(f"xmm{number}" for number in range(16)),
    alignment=1,
    nop=b"\x90",
    call=CallConvention(return_on_stack=True, first_argument=8),
    c=CConvention(
        arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
        first_argument=8,
        kept=("rbx", "rbp", "r12", "r13", "r14", "r15"),
        kept_floats=frozen({"fpcw": 0xFFFF, "mxcsr": 0xFFC0}),
        alignment=16,
        red_zone=128,
    ),
    syscall=SyscallConvention(
        instruction="syscall",
        number="rax",
        arguments=("rdi", "rsi", "rdx", "r10", "r8", "r9"),
        result="rax",
        destroyed=frozen({"rcx": "pc", "r11": "flags"}),
    ),
    tls=Tls(segment="fs"),
    internal=InternalAbi(
        arguments=("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"),
        g="r14",
        zero="xmm15",
        scratch=("r12", "r13"),
        floats=tuple(f"xmm{number}" for number in range(15)),
    ),
)
