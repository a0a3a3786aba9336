"""Expressions of assembly operands: ``+ - * ( )`` over numbers and names.

Numbers are decimal or 0x hex. Octal (``017``) and suffixed (``10h``) forms are refused, because assemblers
disagree about them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

Expr: TypeAlias = "int | str | tuple[str, Expr, Expr]"
"""A number, a name, or (operator, left, right)."""

LONGEST = 400
DEEPEST = 30

_TOKEN = re.compile(r"\s*([A-Za-z_.$][\w.$]*|\w+|\S)")
_NAME = re.compile(r"[A-Za-z_.$]")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[1-9][0-9]*|0")
_RESERVED = "+-*()"


class ExprError(ValueError):
    """An expression that cannot be read or evaluated; the message says why."""


def number(token: str) -> int:
    """The value of a numeral; ExprError if it is not one of ours."""
    if not _NUMBER.fullmatch(token):
        raise ExprError(f"{token} is no number: write decimal or 0x hex")
    return int(token, 0)


@lru_cache(maxsize=8192)
def parse(text: str) -> Expr:
    """The tree of an expression. ExprError if it is none."""
    if len(text) > LONGEST:
        raise ExprError(f"an expression of {len(text)} characters; the longest is {LONGEST}")
    tokens = _TOKEN.findall(text)
    if not tokens:
        raise ExprError("an expression is missing")
    tree, rest = _sum(tokens, 0, 0)
    if rest < len(tokens):
        raise ExprError(f"{tokens[rest]!r} does not belong into the expression {text!r}")
    return tree


def _sum(tokens: list[str], at: int, depth: int) -> tuple[Expr, int]:
    tree, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "+-":
        right, after = _product(tokens, at + 1, depth)
        tree, at = (tokens[at], tree, right), after
    return tree, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[Expr, int]:
    tree, at = _atom(tokens, at, depth)
    while at < len(tokens) and tokens[at] == "*":
        right, at = _atom(tokens, at + 1, depth)
        tree = ("*", tree, right)
    return tree, at


def _atom(tokens: list[str], at: int, depth: int) -> tuple[Expr, int]:
    if at >= len(tokens):
        raise ExprError("the expression ends too early")
    if depth > DEEPEST:
        raise ExprError(f"an expression nested more than {DEEPEST} deep")
    token = tokens[at]
    if token == "-" or token == "+":
        tree, at = _atom(tokens, at + 1, depth + 1)
        return (-tree if isinstance(tree, int) else ("-", 0, tree)) if token == "-" else tree, at
    if token == "(":
        tree, at = _sum(tokens, at + 1, depth + 1)
        if at >= len(tokens) or tokens[at] != ")":
            raise ExprError("a ( is never closed")
        return tree, at + 1
    if _NAME.match(token):
        return token, at + 1
    if token[0].isdigit():
        return number(token), at + 1
    raise ExprError(f"{token!r} does not belong into an expression")


def evaluate(tree: Expr, lookup: Callable[[str], int]) -> int:
    """The value of a tree; ``lookup`` gives the value of a name."""
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return lookup(tree)
    left, right = evaluate(tree[1], lookup), evaluate(tree[2], lookup)
    return left + right if tree[0] == "+" else left - right if tree[0] == "-" else left * right


def terms(tree: Expr) -> list[tuple[int, Expr]]:
    """A sum as its (sign, term) pairs, left to right; parentheses are opened."""
    found: list[tuple[int, Expr]] = []
    waiting = [(1, tree)]
    while waiting:
        sign, part = waiting.pop()
        if isinstance(part, tuple) and part[0] != "*":
            waiting.append((sign if part[0] == "+" else -sign, part[2]))
            waiting.append((sign, part[1]))
        else:
            found.append((sign, part))
    return found


def weight(tree: Expr, lookup: Callable[[str], int]) -> int:
    """How many addresses a sum counts: 1 for an address, 0 for a plain number or a distance.

    ``lookup`` gives the weight of a name. ExprError where addresses are multiplied.
    """
    total = 0
    for sign, part in terms(tree):
        if isinstance(part, str):
            total += sign * lookup(part)
        elif isinstance(part, tuple) and (weight(part[1], lookup) or weight(part[2], lookup)):
            raise ExprError("an address cannot be multiplied")
    return total
