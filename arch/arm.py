"""arm: return PC in the link register, g in R10 and (until Go 1.4) m in R9 (EABI; Go's asm_arm.s)."""

from arch.model import Arch, CallConvention, CConvention, SyscallConvention, Tls, frozen

ARCH = Arch(
    name="arm",
    word=4,
    isa="arm",
    bits=32,
    elf_machine="EM_ARM",
    registers=(
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8",
        "r9", "r10", "r11", "r12", "sp", "lr", "pc", "cpsr",
    ),
    roles=frozen({"sp": "sp", "pc": "pc", "flags": "cpsr", "link": "lr", "ctxt": "r7", "result": "r0"}),
    flag_bits=frozen({"N": 31, "Z": 30, "C": 29, "V": 28}),
    flags_fixed=0,
    vectors=tuple(f"d{number}" for number in range(16)),
    alignment=4,
    nop=b"\x00\xf0\x20\xe3",
    call=CallConvention(return_on_stack=False, first_argument=4),
    c=CConvention(
        arguments=("r0", "r1", "r2", "r3"),
        first_argument=0,
        kept=("r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"),
        kept_floats=frozen({f"d{number}": (1 << 64) - 1 for number in range(8, 16)}),
        alignment=8,
        red_zone=0,
    ),
    syscall=SyscallConvention(
        instruction="svc 0",
        number="r7",
        arguments=("r0", "r1", "r2", "r3", "r4", "r5"),
        result="r0",
        destroyed=frozen({}),
    ),
    tls=Tls(g_register="r10", m_register="r9"),
    gives_way=(0x0FFF_FFFC, 0x0320_F000),  # nop, yield, wfe, wfi, whatever their condition
)
