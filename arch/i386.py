"""386: stack return PC, g and m just below the gs base (Linux i386 ABI; Go's asm_386.s)."""

from arch.model import Arch, CallConvention, CConvention, SyscallConvention, Tls, frozen

ARCH = Arch(
    name="386",
    word=4,
    isa="x86",
    bits=32,
    elf_machine="EM_386",
    registers=("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip", "eflags"),
    roles=frozen({"sp": "esp", "pc": "eip", "flags": "eflags", "ctxt": "edx", "result": "eax"}),
    flag_bits=frozen({"C": 0, "Z": 6, "S": 7, "O": 11}),
    flags_fixed=0x2,
    lazy_flags=rb"\x0f\xc7[\x08-\x0f\x48-\x4f\x88-\x8f]",  # cmpxchg8b, cmpxchg16b
    vectors=tuple(f"xmm{number}" for number in range(8)),
    alignment=1,
    nop=b"\x90",
    call=CallConvention(return_on_stack=True, first_argument=4),
    c=CConvention(
        arguments=(),
        first_argument=4,
        kept=("ebx", "esi", "edi", "ebp"),
        kept_floats=frozen({"fpcw": 0xFFFF, "mxcsr": 0xFFC0}),
        alignment=16,
        red_zone=0,
    ),
    syscall=SyscallConvention(
        instruction="int 0x80",
        number="eax",
        arguments=("ebx", "ecx", "edx", "esi", "edi", "ebp"),
        result="eax",
        destroyed=frozen({}),
    ),
    tls=Tls(segment="gs", self_pointer=True),
)
