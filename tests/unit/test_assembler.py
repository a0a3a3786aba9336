"""From statements to a program: layout, names, labels, gates, data, literal pools, listings."""

import pytest

import arch
from asm.assembler import AsmError, assemble
from asm.listing import listing
from asm.program import Line, Program, Symbol
from asm.source import parse

BASE = 0x10000


def made(name: str, text: str, *, base: int = BASE, gates: dict[str, int] | None = None, **names: int) -> Program:
    record = arch.get(name)
    return assemble(parse(text, "t.s", record), record, base=base, names=names, gates=gates or {})


def code(program: Program) -> str:
    return b"".join(segment.data for segment in program.segments).hex()


def refusal(name: str, text: str, *, base: int = BASE, gates: dict[str, int] | None = None, **names: int) -> str:
    with pytest.raises(AsmError) as caught:
        made(name, text, base=base, gates=gates, **names)
    return str(caught.value)


def test_a_program_knows_symbols_lines_and_gates() -> None:
    text = "f: mov eax, ebx\n.local: jmp .local\ng:\n    call f // back\n    jmp out\n"
    program = made("amd64", text, gates={"out": 0x20000})
    assert program.symbols == {"f": Symbol("f", BASE, 4), "g": Symbol("g", BASE + 4, 10)}
    assert program.lines == {
        BASE: Line("t.s", 1, "mov eax, ebx"),
        BASE + 2: Line("t.s", 2, "jmp .local"),
        BASE + 4: Line("t.s", 4, "call f"),
        BASE + 9: Line("t.s", 5, "jmp out"),
    }
    assert program.gates == {"out": 0x20000}
    segment = program.segments[0]
    assert (segment.address, segment.size, segment.writable, segment.executable) == (BASE, 14, False, True)
    assert code(program) == "89d8ebfee8f7ffffffe9f2ff0000"
    assert program.describe(BASE + 9) == "g+0x5"


def test_local_labels_belong_to_their_routine() -> None:
    assert code(made("amd64", "f: jmp .x; .x: ret; g: jmp .x; nop; .x: ret")) == "eb00c3eb0190c3"
    assert "there is no name .y" in refusal("amd64", "f: .y: ret; g: jmp .y")


@pytest.mark.parametrize(("gap", "expected"), [(127, "eb7f"), (128, "e980000000"), (0x10000, "e900000100")])
def test_branches_are_short_where_they_fit(gap: int, expected: str) -> None:
    assert code(made("386", f"jmp far; .zero {gap}; far: ret")).startswith(expected)


def test_a_branch_that_grows_makes_others_grow() -> None:
    text = "jmp a; jmp b; .zero 123; a: .zero 3; b: ret"
    assert code(made("386", text)).startswith("eb7deb7e")
    grown = made("386", text.replace("123", "126"))
    assert code(grown).startswith("e983000000e981000000")
    assert grown.symbol("b").address == BASE + 10 + 126 + 3


def test_backward_branches() -> None:
    assert code(made("386", "f: .zero 126; jmp f")).endswith("eb80")
    assert code(made("386", "f: .zero 127; jmp f")).endswith("e97cffffff")
    assert code(made("arm", "f: nop; bne f; blls f")).endswith("fdffff1afcffff9b")


def test_a_size_that_depends_on_a_label_settles() -> None:
    assert code(made("amd64", "push end; .zero 0x70; end: ret", base=0))[:4] == "6a72"
    assert code(made("amd64", "push end; .zero 0x7e; end: ret", base=0))[:10] == "6883000000"


@pytest.mark.parametrize("jump", ["jmp", "je", "ja", "jnle", "jno", "jpo"])
def test_a_branch_that_grew_stays_long(jump: str) -> None:
    """Grown to its long form it ends nearer to its aligned target, which the short one would then reach again."""
    program = made("386", f".zero 14; {jump} far; .zero 120; .align 16; far: ret")
    assert program.symbol("far").address == BASE + 144
    length = 5 if jump == "jmp" else 6
    assert code(program)[28 + 2 * length - 8 :].startswith((144 - 14 - length).to_bytes(4, "little").hex())
    assert list(program.lines) == [BASE + 14, BASE + 144]


def test_a_size_that_depends_on_itself_is_refused() -> None:
    assert "does not settle" in refusal("386", "a: .zero 3 - (b - a); b: ret")


def test_names_and_expressions() -> None:
    names = {"g.sched.sp": 0x38, "word": 8, "StackPreempt": 0xFFFFFFFFFFFFFADE}
    assert code(made("amd64", "mov rax, qword ptr [rbx + g.sched.sp - word*2]", **names)) == "488b4328"
    assert code(made("amd64", "cmp qword ptr [rbx + 2*(word + 4)], StackPreempt", **names)) == "48817b18defaffff"
    assert code(made("amd64", "mov word ptr [rsp + word], 7", **names)) == "66c74424080700"
    assert code(made("386", ".set a, b + 1; .set b, 2*-3; .long a, -a")) == "fbffffff05000000"
    assert code(made("arm", "f: .word end - f, f; end:")) == "0800000000000100"


def test_rip_takes_addresses_and_distances() -> None:
    assert code(made("amd64", "lea rax, [rip + f]; f: nop")) == "488d050000000090"
    assert code(made("amd64", "lea rax, [rip + 8]")) == "488d0508000000"
    assert code(made("amd64", "f: nop; g: lea rax, [rip + g - f]")) == "90488d0501000000"
    assert code(made("amd64", "lea rax, [rip + out + 1]", gates={"out": 0x20000})) == "488d05faff0000"
    assert "displacement" in refusal("amd64", "lea rax, [rip + out]", gates={"out": 1 << 40})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mov eax, dword ptr [rbx + g.shed.sp]", "t.s:1: 'mov eax, dword ptr [rbx + g.shed.sp]': there is no name "
         "g.shed.sp; did you mean g.sched.sp?"),
        ("nop\ncall newstak", "t.s:2: 'call newstak': there is no name newstak; did you mean newstack?"),
        ("f: jmp .bdy; .body: ret", "t.s:1: 'jmp .bdy': there is no name .bdy; did you mean .body?"),
        ("f: ret\nf: ret", "t.s:2: f is already defined at t.s:1"),
        (".set a, 1\n.set a, 2", "t.s:2: a is already defined at t.s:1"),
        ("f: .x: nop\n.x: nop", "t.s:2: .x is already defined at t.s:1"),
        ("newstack: ret", "t.s:1: newstack is a gate and cannot be defined here"),
        ("g.sched.sp: ret", "t.s:1: g.sched.sp is a layout name or constant and cannot be defined here"),
        ("rax: ret", "t.s:1: rax is a register and cannot be a name"),
        (".set a, b; .set b, a; .byte a", "t.s:1: '.byte a': a is defined by itself"),
        ("frob eax", "t.s:1: 'frob eax': there is no instruction or macro frob"),
        ("mov eax, (1", "t.s:1: 'mov eax, (1': a ) is missing"),
        ("mov eax, 1 2", "t.s:1: 'mov eax, 1 2': '2' does not belong into the expression '1 2'"),
        (".frob 1", "t.s:1: '.frob 1': there is no directive .frob"),
        (".word 1", "t.s:1: '.word 1': .word has different sizes in different assemblers: write .short"),
    ],
)  # fmt: skip
def test_errors_say_what_and_where(text: str, message: str) -> None:
    names = {"g.sched.sp": 0x38}
    assert refusal("amd64", text, gates={"newstack": 0x20000}, **names).startswith(message)


def test_the_same_constant_twice_is_no_clash() -> None:
    assert code(made("386", ".set a, 1; .set a, 1; .byte a")) == "01"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("386", ".byte 1, -1, 255; .short 0x1234; .long -2; .quad 1", "01ffff3412feffffff0100000000000000"),
        ("386", r'.ascii "a,b\n\x41\0\"\\"; .asciz "c", "d"', "612c620a4100225c63006400"),
        ("386", "ret; .align 4; .byte 1; .align 1", "c390909001"),
        ("amd64", "ret; .align 16; f: ret", "c3" + "90" * 15 + "c3"),
        ("arm", "bx lr; .align 16; f: bx lr", "1eff2fe1" + "00f020e3" * 3 + "1eff2fe1"),
        ("arm", ".byte 1; .align 8; nop", "0100000000f020e300f020e3"),
        ("arm", ".word 1, f; f:", "0100000008000100"),
        ("386", ".zero 3; .zero 0", "000000"),
    ],
)
def test_data(name: str, text: str, expected: str) -> None:
    assert code(made(name, text)) == expected


def test_an_instruction_must_be_aligned() -> None:
    assert "put .align 4 before it" in refusal("arm", ".byte 1; nop")
    assert "no code can stand at 0x10002" in refusal("arm", "nop", base=0x10002)


def test_a_program_must_fit_into_memory() -> None:
    assert "too many" in refusal("386", ".zero 0x100", base=0xFFFFFF80)
    assert "too many" in refusal("386", "\n".join([".zero 0x100000"] * 17))


def test_pools_stand_behind_their_routine_and_share_words() -> None:
    program = made("arm", "f: ldr r0, =0x12345678; ldr r1, =f + 4; ldr r2, =0x12345678; bx lr; g: ldr r0, =7; b f")
    words = "7856341204000100"
    assert code(program) == "08009fe508109fe500209fe51eff2fe1" + words + "00009fe5f7ffffea07000000"
    assert program.symbol("g") == Symbol("g", BASE + 24, 12)
    assert program.data == {
        BASE + 16: Line("t.s", 1, ".word 0x12345678"),
        BASE + 20: Line("t.s", 1, ".word f + 4"),
        BASE + 32: Line("t.s", 1, ".word 7"),
    }


def test_a_pool_may_be_placed() -> None:
    text = "f: ldr r0, =1; b .on; .pool; .on: ldr r0, =2; bx lr"
    assert code(made("arm", text)) == "00009fe5000000ea0100000000009fe51eff2fe102000000"


def test_a_pool_too_far_away_is_refused() -> None:
    assert "put a .pool nearer" in refusal("arm", "f: ldr r0, =1; .zero 4096; bx lr")
    assert code(made("arm", "f: ldr r0, =1; .zero 4084; bx lr")).startswith("f40f9fe5")


@pytest.mark.parametrize(
    "last", ["nop", "bne f", "popeq {pc}", "mov r0, pc", "cmp pc, r0", "push {pc}", "str pc, [r1]"]
)
def test_a_routine_must_not_run_into_its_pool(last: str) -> None:
    assert "would be executed" in refusal("arm", f"f: ldr r0, =1; {last}")


@pytest.mark.parametrize(
    "last", ["b f", "bl f", "bx lr", "pop {pc}", "mov pc, lr", "ldr pc, [sp], #4", "ldm r0, {r1, pc}", "udf #0"]
)
def test_a_routine_may_end_before_its_pool(last: str) -> None:
    assert len(code(made("arm", f"f: ldr r0, =1; {last}"))) == 24


def test_loads_relative_to_pc() -> None:
    assert code(made("arm", "f: ldr r0, f; ldrb r1, g; bx lr; g: .word 5")).startswith("08001fe50010dfe5")
    assert "write =5" in refusal("arm", "ldr r0, 5")


def test_special_guard_values_on_arm() -> None:
    assert code(made("arm", "ldr r0, =StackPreempt; bx lr", StackPreempt=0xFFFFFADE)).endswith("defaffff")
    assert code(made("arm", "ldr r0, =StackPreempt; bx lr", StackPreempt=-1314)).endswith("defaffff")


def test_a_listing_has_every_byte_once() -> None:
    program = made("arm", "f: ldr r0, =7 @ seven\n bx lr\n.align 16\ng: .byte 1, 2\nh:")
    assert list(listing(program)) == [
        (BASE, b"", "f:"),
        (BASE, bytes.fromhex("08009fe5"), "ldr r0, =7"),
        (BASE + 4, bytes.fromhex("1eff2fe1"), "bx lr"),
        (BASE + 8, bytes.fromhex("00f020e3") * 2, ".align 16"),
        (BASE + 16, bytes.fromhex("07000000"), ".word 7"),
        (BASE + 20, b"", "g:"),
        (BASE + 20, b"\1\2", ".byte 1, 2"),
        (BASE + 22, b"", "h:"),
    ]


def test_nothing_is_a_program_too() -> None:
    program = made("386", "// nothing")
    assert (program.segments, program.symbols, list(listing(program))) == ((), {}, [])
    assert made("386", "f:").symbols == {"f": Symbol("f", BASE, 0)}


def test_the_watcher_sees_statements_before_keystone() -> None:
    seen: list[int] = []
    record = arch.get("386")
    statements = parse("nop\n.byte 1\nret", "t.s", record)
    assemble(statements, record, base=BASE, watch=lambda statement: seen.append(statement.line))
    assert seen == [1, 3]


def test_what_llvm_writes_by_itself_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    assert code(made("arm", "ldm r1, {r0, sp}")) == "012091e8"
    refusal("arm", "pop {sp}")
    assert capfd.readouterr() == ("", "")
