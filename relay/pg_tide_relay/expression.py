"""JMESPath expressions, compiled once per configuration: ``jmespath`` parses, closures evaluate.

The interpreter that comes with the library looks each node's method up by its name, for every message. Here each
node becomes a closure with its parts at hand. Functions are the library's own. What a closure does is what
``jmespath.visitor.TreeInterpreter`` does; the official compliance cases and made-up documents are given to both.

One name is ours: ``_message`` is the message's metadata, wherever in the expression it stands.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from pg_tide_wire_formats.documents import Number

MESSAGE: Final = "_message"

Node = Mapping[str, Any]
Evaluate = Callable[[Any], Any]

_FUNCTIONS: Final = Functions()
_WRITES_NUMBERS: Final = frozenset({"to_string"})
_COMPARABLE: Final = frozenset({int, float, Number, str})
_ORDERINGS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


_NARROWING: Final = frozenset(
    {
        "subexpression",
        "index_expression",
        "pipe",
        "flatten",
        "projection",
        "value_projection",
        "filter_projection",
    }
)
_SIDE_BY_SIDE: Final = frozenset(
    {
        "comparator",
        "and_expression",
        "or_expression",
        "not_expression",
        "multi_select_dict",
        "multi_select_list",
        "key_val_pair",
        "function_expression",
    }
)


class ExpressionError(ValueError):
    """A text is no JMESPath expression, or evaluating it failed."""


class Scope:
    """What an expression sees beside its document."""

    __slots__ = ("message",)

    def __init__(self) -> None:
        """Nothing yet."""
        self.message: Any = None


class Expression:
    """One compiled expression. Not for several threads at once."""

    def __init__(self, text: str) -> None:
        """Compile; raises ExpressionError."""
        try:
            tree = jmespath.compile(text).parsed
        except JMESPathError as error:
            raise ExpressionError(f"{text!r} is no JMESPath expression: {_said(error)}") from error
        except RecursionError as error:
            raise ExpressionError("the expression is nested too deeply") from error
        nodes = list(_nodes(tree))
        for node in nodes:
            if node["type"] == "function_expression" and node["value"] not in Functions.FUNCTION_TABLE:
                raise ExpressionError(f"{text!r} calls {node['value']}(), which is no function of JMESPath")
        self.asks_for_message = any(node["type"] == "field" and node["value"] == MESSAGE for node in nodes)
        """Whether it names ``_message``."""
        self.computes = any(node["type"] == "function_expression" for node in nodes)
        """Whether its result may hold numbers that stand in no document."""
        self.writes_numbers = any(
            node["type"] == "function_expression" and node["value"] in _WRITES_NUMBERS for node in nodes
        )
        """Whether it looks at how a number is written, and not only at its value."""
        self.members = _members(tree)
        """The members of the document that it looks at; None: it may look at all."""
        self._scope = Scope()
        self._evaluate = _Compiler(self._scope).compile(tree)

    def __call__(self, document: Any, message: Any = None) -> Any:
        """The value of the expression for a document; raises ExpressionError."""
        self._scope.message = message
        try:
            return self._evaluate(document)
        except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            # Beside its own errors the library lets those of Python through: "a" < 1, ceil of an infinite number.
            raise ExpressionError(str(error) or type(error).__name__) from error


def _said(error: JMESPathError) -> str:
    """What the library says, without its drawing of the place, which needs lines of its own."""
    said, *drawing = str(error).removesuffix(".").split("\n")
    said = said.removesuffix(":").removesuffix(", for expression")
    place = getattr(error, "lex_position", getattr(error, "lexer_position", None))
    return said if place is None or not drawing or "column" in said else f"{said} at column {place}"


def is_false(value: Any) -> bool:
    """Truth as in JMESPath: null, false, and the empty string, array and object are false; 0 is true."""
    if value is None or value is False:
        return True
    return type(value) in (str, list, dict) and not value


def _nodes(node: Node) -> Any:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _nodes(child)


def _members(node: Node) -> frozenset[str] | None:
    kind = node["type"]
    if kind == "field":
        return frozenset() if node["value"] == MESSAGE else frozenset({node["value"]})
    if kind == "literal":
        return frozenset()
    children = [child for child in node["children"] if isinstance(child, dict) and child["type"] != "expref"]
    if kind in _NARROWING:
        children = children[:1]  # all others are given what the first one finds
    elif kind not in _SIDE_BY_SIDE:
        return None
    found = [_members(child) for child in children]
    known = [members for members in found if members is not None]
    return frozenset().union(*known) if len(known) == len(found) else None


class _Interpreter(TreeInterpreter):  # type: ignore[misc]  # the library has no types
    """The library's own, which knows ``_message``: for what takes an expression as its argument, such as sort_by."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def visit_field(self, node: Node, value: Any) -> Any:
        if node["value"] == MESSAGE:
            return self._scope.message
        return super().visit_field(node, value)


class _Compiler:
    """From nodes to closures."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._interpreter = _Interpreter(scope)

    def compile(self, node: Node) -> Evaluate:
        """The closure of a node: one method for each type of node."""
        made: Evaluate = getattr(self, f"_{node['type']}")(node)
        return made

    def _children(self, node: Node) -> list[Evaluate]:
        return [self.compile(child) for child in node["children"]]

    def _field(self, node: Node) -> Evaluate:
        name, scope = node["value"], self._scope
        if name == MESSAGE:
            return lambda _value: scope.message
        return lambda value: value.get(name) if type(value) is dict else None

    def _subexpression(self, node: Node) -> Evaluate:
        first, *others = self._children(node)
        for other in others:
            first = _then(first, other)
        return first

    _index_expression = _pipe = _subexpression

    def _identity(self, _node: Node) -> Evaluate:
        return lambda value: value

    _current = _identity

    def _literal(self, node: Node) -> Evaluate:
        literal = node["value"]
        return lambda _value: literal

    def _index(self, node: Node) -> Evaluate:
        place = node["value"]

        def index(value: Any) -> Any:
            if type(value) is not list:
                return None
            return value[place] if -len(value) <= place < len(value) else None

        return index

    def _slice(self, node: Node) -> Evaluate:
        part = slice(*node["children"])
        return lambda value: value[part] if type(value) is list else None

    def _comparator(self, node: Node) -> Evaluate:
        left, right = self._children(node)
        kind = node["value"]
        if kind == "eq":
            return lambda value: _equal(left(value), right(value))
        if kind == "ne":
            return lambda value: not _equal(left(value), right(value))
        compare = _ORDERINGS[kind]

        def ordering(value: Any) -> bool | None:
            one, other = left(value), right(value)
            if type(one) in _COMPARABLE and type(other) in _COMPARABLE:
                return compare(one, other)
            return None

        return ordering

    def _and_expression(self, node: Node) -> Evaluate:
        left, right = self._children(node)

        def both(value: Any) -> Any:
            matched = left(value)
            return matched if is_false(matched) else right(value)

        return both

    def _or_expression(self, node: Node) -> Evaluate:
        left, right = self._children(node)

        def either(value: Any) -> Any:
            matched = left(value)
            return right(value) if is_false(matched) else matched

        return either

    def _not_expression(self, node: Node) -> Evaluate:
        (inner,) = self._children(node)
        return lambda value: is_false(inner(value))

    def _multi_select_dict(self, node: Node) -> Evaluate:
        members = [(child["value"], self.compile(child["children"][0])) for child in node["children"]]

        def select(value: Any) -> Any:
            if value is None:
                return None
            return {name: member(value) for name, member in members}

        return select

    def _multi_select_list(self, node: Node) -> Evaluate:
        members = self._children(node)
        return lambda value: None if value is None else [member(value) for member in members]

    def _flatten(self, node: Node) -> Evaluate:
        (base,) = self._children(node)

        def flatten(value: Any) -> Any:
            found = base(value)
            if type(found) is not list:
                return None
            flat: list[Any] = []
            for each in found:
                if type(each) is list:
                    flat.extend(each)
                else:
                    flat.append(each)
            return flat

        return flatten

    def _projection(self, node: Node) -> Evaluate:
        base, project = self._children(node)

        def projection(value: Any) -> Any:
            found = base(value)
            if type(found) is not list:
                return None
            return [made for each in found if (made := project(each)) is not None]

        return projection

    def _value_projection(self, node: Node) -> Evaluate:
        base, project = self._children(node)

        def projection(value: Any) -> Any:
            found = base(value)
            if type(found) is not dict:
                return None
            return [made for each in found.values() if (made := project(each)) is not None]

        return projection

    def _filter_projection(self, node: Node) -> Evaluate:
        base, project, keep = self._children(node)

        def projection(value: Any) -> Any:
            found = base(value)
            if type(found) is not list:
                return None
            kept = (each for each in found if not is_false(keep(each)))
            return [made for each in kept if (made := project(each)) is not None]

        return projection

    def _function_expression(self, node: Node) -> Evaluate:
        name = node["value"]
        if any(child["type"] == "expref" for child in node["children"]):
            interpreter = self._interpreter
            return lambda value: interpreter.visit(node, value)
        arguments = self._children(node)
        return lambda value: _FUNCTIONS.call_function(name, [argument(value) for argument in arguments])


def _then(first: Evaluate, second: Evaluate) -> Evaluate:
    return lambda value: second(first(value))


def _equal(one: Any, other: Any) -> bool:
    # Python takes true for 1; for JMESPath a boolean equals only a boolean.
    if (type(one) is bool) is not (type(other) is bool):
        return False
    return bool(one == other)
