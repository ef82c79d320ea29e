"""Compiles JMESPath expressions. A plain path, such as `Task.Status`, becomes direct lookups: each poll evaluates several.

An expression finds a value; a path to members says where a value is, so that it can be replaced. The jmespath library is
imported at the first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Ast = Mapping[str, Any]

EACH = None
"""In a path: each element of a list, written `[*]`."""

Path = tuple[str | None, ...]
"""Names of members from the outside in, and `EACH`."""

_EVALUATION_ERRORS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What the interpreter raises for values that an expression was not written for; JMESPath's own errors are ValueErrors."""

_FIRST_CHILD_READS = frozenset(
    {"subexpression", "index_expression", "pipe", "projection", "value_projection", "filter_projection", "flatten"}
)
"""Nodes whose other children are evaluated against what the first one found."""

_ALL_CHILDREN_READ = frozenset(
    {
        "or_expression", "and_expression", "not_expression", "comparator", "function_expression",
        "multi_select_dict", "multi_select_list", "key_val_pair", "literal",
    }
)  # fmt: skip


class Expression:
    """A compiled JMESPath expression. Raises ValueError for a text that is not one.

    `find(value)` returns what the expression finds in a JSON value, or None. It raises a ValueError, whose text repeats
    nothing of the value, where the expression does not fit the value: `length(@)` of a number.
    """

    __slots__ = ("find", "members", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        ast = parse_expression(text)
        path = _path(ast)
        self.members: tuple[str, ...] | None = None if path is None or EACH in path else tuple(str(part) for part in path)
        """The names along a plain path, such as `("Task", "Status")`; None for any other expression."""
        self.find: Callable[[Any], Any] = _lookup(self.members) if self.members else _interpreter(text, ast)
        """An attribute, not a method, because every poll calls several of these."""

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def parse_expression(text: str) -> Ast:
    """Return the syntax tree of a JMESPath expression. Raises ValueError with what is wrong and where."""
    import jmespath
    from jmespath.exceptions import JMESPathError, LexerError, ParseError

    try:
        ast: Ast = jmespath.compile(text).parsed
    except (ParseError, LexerError) as error:
        at = error.lexer_position if isinstance(error, LexerError) else error.lex_position
        words = text[at:].split(maxsplit=1)
        unexpected = f'unexpected "{words[0][:20]}"' if words else "it ends too early"
        raise ValueError(f"not a valid JMESPath expression: error at character {at + 1}: {unexpected}") from None
    except JMESPathError:
        raise ValueError("not a valid JMESPath expression: it is empty") from None
    _check_functions(ast)
    return ast


def parse_path(text: str) -> Path:
    """Return the parts of a path such as `matches[*].id`. Raises ValueError for any other expression."""
    path = _path(parse_expression(text))
    if not path:
        raise ValueError("expected names joined by dots, with [*] for each element of a list, such as matches[*].id")
    return path


def truthy(value: Any) -> bool:
    """Whether JMESPath takes a value as true: everything but null, false, and an empty string, list or object."""
    return bool(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def replaced(value: Any, path: Path, replace: Callable[[Any], Any]) -> Any:
    """Return a copy of a JSON value in which `replace` was applied to all that the path finds. Members keep their order."""
    if not path:
        return replace(value)
    part, rest = path[0], path[1:]
    if part is EACH:
        return [replaced(element, rest, replace) for element in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or part not in value:
        return value
    return {**value, part: replaced(value[part], rest, replace)}


def _lookup(members: Sequence[str]) -> Callable[[Any], Any]:
    def one(value: Any) -> Any:
        return value.get(first) if isinstance(value, dict) else None

    def many(value: Any) -> Any:
        for name in members:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    first = members[0]
    return one if len(members) == 1 else many


def _interpreter(text: str, ast: Ast) -> Callable[[Any], Any]:
    from jmespath.visitor import TreeInterpreter

    interpreter, names = TreeInterpreter(), _names_read(ast)

    def interpret(value: Any) -> Any:
        try:
            return interpreter.visit(ast, value)  # type: ignore[arg-type]  # the stubs keep the class of a parsed node private
        except _EVALUATION_ERRORS:
            raise ValueError(f"{text} does not fit the value") from None

    def unless_absent(value: Any) -> Any:
        if isinstance(value, dict) and all(value.get(name) is None for name in names or ()):
            return absent
        return interpret(value)

    try:
        absent = interpret({})
    except ValueError:
        return interpret
    return interpret if names is None else unless_absent


def _names_read(ast: Ast) -> frozenset[str] | None:
    """The members of the value on which the result depends; None where it depends on more than some of its members."""
    if ast["type"] == "field":
        return frozenset({ast["value"]})
    if ast["type"] in _FIRST_CHILD_READS:
        return _names_read(ast["children"][0])
    if ast["type"] not in _ALL_CHILDREN_READ:
        return None
    return _union(_names_read(child) for child in ast["children"] if child["type"] != "expref")


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for names in parts:
        if names is None:
            return None
        found |= names
    return found


def _path(ast: Ast) -> Path | None:
    """The parts of a path of names and `[*]`; None for any other expression."""
    if ast["type"] == "field":
        return (ast["value"],)
    if ast["type"] == "identity":
        return ()
    if ast["type"] not in ("subexpression", "projection"):
        return None
    parts = [_path(child) for child in ast["children"]]
    if any(part is None for part in parts):
        return None
    between = (EACH,) if ast["type"] == "projection" else ()
    first, *rest = (part for part in parts if part is not None)
    return first + between + tuple(name for part in rest for name in part)


def _check_functions(ast: Ast) -> None:
    """Raise ValueError for a function that JMESPath does not have, or has with another number of arguments."""
    from jmespath.functions import Functions

    if ast["type"] == "function_expression":
        function = Functions.FUNCTION_TABLE.get(ast["value"])
        if function is None:
            raise ValueError(f"JMESPath has no function {ast['value']}()")
        least, given = len(function["signature"]), len(ast["children"])
        more = any(argument.get("variadic") for argument in function["signature"])
        if given < least or (given > least and not more):
            raise ValueError(f"{ast['value']}() takes {'at least ' if more else ''}{least} argument(s), got {given}")
    for child in ast["children"]:
        if isinstance(child, Mapping):  # those of a slice are numbers
            _check_functions(child)
