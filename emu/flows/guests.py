"""The guests of the flows: goroutines that take turns, and a recursion through frames of every size.

Each frame keeps words that a move of the stack must leave alone, and words that must follow it; it looks at them
when the function it called has returned, and invokes ``broken`` if one is wrong.
"""

from __future__ import annotations

from functools import cache

from asm.guests import Function

BONUS = 17
"""What a closure's context adds to the value of each level of ``medium``."""
ROOT = 1000
"""The value of ``root``'s own level."""
MEDIUM, HUGE = 1900, 48 * 1024
"""Bytes of slots of the functions whose frames are not small."""

# Slots by name: the outgoing area, and then what a level keeps.
_SLOTS = {
    name: index for index, name in enumerate((
        "n", "p", "decoy", "sum", "echo",
        "value", "pointer", "number", "shifted", "low", "code", "bonus", "high",
    ))
}
_SHIFT = 0x1357_9BD0  # takes an address out of every stack
_CANARY = 0x2A5C_0000

_PASS = "get {pointer}; put {p}; get {number}; put {decoy}"

# (n, p, decoy) -> (sum, echo). The sum is the callee's, this level's value, and the caller's, read through p.
# pointer is declared and must stay the address of value; number was that address once, and is a number.
_LEVEL = """
    {context}
    argument 0; {plus_context}put {value}
    address {value}; put {pointer}
    put {number}; plus_constant {SHIFT}; put {shifted}
    constant {CANARY}; put {low}
    plus_constant 1; put_far {high}
    invoke tick
    argument 0; {test}
    plus_constant -1; put {n}
    {PASS}
    {call}
.back:
    get {echo}; unless_equal {number}, .broken
    plus_constant {SHIFT}; unless_equal {shifted}, .broken
    constant {CANARY}; unless_equal {low}, .broken
    get_far {high}; plus_constant -1; unless_equal {low}, .broken
    address {value}; unless_equal {pointer}, .broken
    get {sum}; plus {value}; put {sum}
    argument 1; word_at 0; plus {sum}
.done:
    set_argument 3
    argument 2; set_argument 4
    goto .end
{bottom}
.broken:
    invoke broken
.end:
"""


def _level(
    name: str, bytes_of_slots: int, word: int, canary: int, call: str, *, closure: bool = False, bottom: str = ""
) -> Function:
    """One function of the recursion. ``closure``: it adds a word of its context. ``bottom``: what to do if n is 0."""
    slots = bytes_of_slots // word if bytes_of_slots else len(_SLOTS)
    names = {**_SLOTS, "high": slots - 1}
    body = _LEVEL.format(
        **names, SHIFT=_SHIFT, CANARY=_CANARY + 2 * canary, PASS=_PASS.format(**names), call=call.format(**names),
        context=f"context {word}; put {names['value']}" if closure else "",
        plus_context=f"plus {names['value']}; " if closure else "",
        test="if_zero .bottom" if bottom else "", bottom=bottom.format(**names, PASS=_PASS.format(**names)),
    )
    return Function(name, body, 5, slots, pointers=(names["pointer"],), argument_pointers=(1,), ctxt=closure)


@cache
def recursion(word: int, closures: bool) -> tuple[Function, ...]:
    """root(n, again) -> (sum, sum): calls small with n, gives way, and calls it with ``again``.

    small calls medium and medium small until n, an even number, is 0; then small calls huge, which calls itself, as
    many levels deep as the gate ``depth`` says. ``closures``: medium is called through a func value in small's frame.
    """
    value = f"code medium; put {{code}}; constant {BONUS}; put {{bonus}}; address {{code}}; invoke_value"
    return (
        _root(),
        _level("small", 0, word, 0, value if closures else "invoke medium",
               bottom=".bottom: {PASS}; invoke depth; invoke huge; goto .back"),
        _level("medium", MEDIUM, word, 1, "invoke small", closure=closures),
        _level("huge", HUGE, word, 2, "invoke huge", bottom=".bottom: argument 1; word_at 0; goto .done"),
    )


def _root() -> Function:
    call = (
        "argument {index}; put {n}; constant {ROOT}; put {value}; address {value}; put {p}; put {decoy}; "
        "invoke small; get {sum}; set_argument {result}\n"
    )
    bodies = (call.format(**_SLOTS, ROOT=ROOT, index=index, result=index + 2) for index in (0, 1))
    return Function("root", "invoke gosched\n".join(bodies), 4, len(_SLOTS))


def total(n: int, depth: int, closures: bool) -> int:
    """What small returns to root, in plain arithmetic."""
    values = [ROOT]
    for level in range(n, -1, -1):
        is_medium = (n - level) % 2 == 1
        values.append(level + (BONUS if closures and is_medium else 0))
    values += range(depth, 0, -1)
    return sum(values[1:]) + sum(values[:-1]) + values[-1]


@cache
def turns(closures: bool) -> tuple[Function, ...]:
    """player(id, rounds) -> (count, sum): ``rounds`` times calls step(id, round), which gives way before it returns.

    ``closures``: player looks at its closure context, which must be its own func value.
    """
    start = "context 0; put 6; code player; unless_equal 6, .broken" if closures else ""
    player = f"""
        {start}
        constant 0; put 3; put 4
        argument 0; plus_constant {_CANARY}; put 5
    .turn:
        argument 1; if_zero .end
        put 1; argument 0; put 0; invoke step
        get 2; plus 4; put 4
        get 3; plus_constant 1; put 3; set_argument 2
        argument 0; plus_constant {_CANARY}; unless_equal 5, .broken
        get 4; set_argument 3
        argument 1; plus_constant -1; set_argument 1
        goto .turn
    .broken:
        invoke broken
    .end:
    """
    step = """
        argument 0; put 1
        address 1; put 2
        invoke gosched
        address 1; unless_equal 2, .broken
        get 2; word_at 0; put 3
        argument 1; plus 3; set_argument 2
        goto .end
    .broken:
        invoke broken
    .end:
    """
    return (
        Function("player", player, 4, 7, ctxt=closures),
        Function("step", step, 3, 4, pointers=(2,)),
    )
