"""Sizes, over the whole package. They may be made smaller; a larger one needs a reason that a reviewer accepts."""

import ast
import io
import math
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence

MOST_CODE_LINES = 400  # of a file, without blank lines, comments and docstrings
MOST_FUNCTION_LINES, P95_FUNCTION_LINES = 60, 40
MOST_CLASS_LINES = 300
P95_BRANCHES = 7  # decisions plus one; boolean operators and conditional expressions are not counted
P95_PARAMETERS = 5
MOST_BROAD = 0.10  # of all handlers
FEW = 20  # below so many, a ratio says nothing

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NOISE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension, ast.match_case)
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTIONS)
NO_REASON = re.compile(r"noqa:\s*[A-Z0-9, ]+|pragma: no \w+|type: ignore\S*|pyright: ignore\S*")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")


def code_lines(module) -> int:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in NOISE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(module.tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def _length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _all(modules, kinds) -> Iterator[tuple[str, ast.AST]]:
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, kinds):
                yield f"{module.at(node.lineno)} {getattr(node, 'name', '')}", node


def _p95(values: Sequence[int]) -> int:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else 0


def _branches(function: ast.AST) -> int:
    return 1 + sum(isinstance(n, BRANCHES) for n in ast.walk(function))


def _parameters(function) -> int:
    asked = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([a for a in asked if a.arg not in ("self", "cls")])


def _broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(k is None or getattr(k, "id", getattr(k, "attr", "")) in ("Exception", "BaseException") for k in kinds)


def unexplained(module) -> Iterator[str]:
    """Broad handlers whose line does not say why."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and _broad(node):
            comment = module.text.splitlines()[node.lineno - 1].partition("#")[2]
            if not re.search(r"[a-z]{3,}", NO_REASON.sub("", comment)):
                yield f"{module.at(node.lineno)}: except without its reason on the line"


def unfinished(module) -> Iterator[str]:
    for number, line in enumerate(module.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"{module.at(number)}: {line.strip()}"


def test_files_are_small(modules) -> None:
    assert [f"{m.path}: {code_lines(m)}" for m in modules if code_lines(m) > MOST_CODE_LINES] == []


def test_functions_are_small(modules) -> None:
    sizes = {where: _length(node) for where, node in _all(modules, FUNCTIONS)}
    assert {where: size for where, size in sizes.items() if size > MOST_FUNCTION_LINES} == {}
    assert _p95([*sizes.values()]) <= P95_FUNCTION_LINES


def test_classes_are_small(modules) -> None:
    sizes = {where: _length(node) for where, node in _all(modules, ast.ClassDef)}
    assert {where: size for where, size in sizes.items() if size > MOST_CLASS_LINES} == {}


def test_functions_are_simple(modules) -> None:
    functions = [node for _, node in _all(modules, FUNCTIONS)]
    assert _p95([_branches(f) for f in functions]) <= P95_BRANCHES
    assert _p95([_parameters(f) for f in functions]) <= P95_PARAMETERS


def test_broad_handlers_are_few_and_say_why(modules) -> None:
    assert [each for m in modules for each in unexplained(m)] == []
    broad = [_broad(node) for _, node in _all(modules, ast.ExceptHandler)]
    assert len(broad) < FEW or sum(broad) <= MOST_BROAD * len(broad)


def test_nothing_is_left_for_later(modules) -> None:
    assert [each for m in modules for each in unfinished(m)] == []


# The rules see what they are for --------------------------------------------------------------------------------------


def test_only_code_is_counted(module: Callable) -> None:
    text = '"""Doc.\n\nMore.\n"""\n\n# why\nX = """a\nb"""\n\n\ndef f():\n    """Doc."""\n    return 1\n'
    assert code_lines(module("flyball.core.x", text)) == 4


def test_a_broad_handler_needs_a_reason(module: Callable) -> None:
    text = "try:\n    f()\nexcept {}\n    pass\n"
    for silent in ("Exception:", "(ValueError, BaseException):", "builtins.Exception:  # noqa: BLE001", ":"):
        assert list(unexplained(module("flyball.core.x", text.format(silent)))), silent
    for fine in ("ValueError:", "Exception:  # noqa: BLE001 recorded as a failed outcome"):
        assert not list(unexplained(module("flyball.core.x", text.format(fine)))), fine


def test_branches_and_parameters_are_counted() -> None:
    function = ast.parse("def f(self, a, *, b=1):\n    if a and b:\n        return [x for x in a]\n").body[0]
    assert (_branches(function), _parameters(function)) == (3, 2)


def test_the_unfinished_is_seen(module: Callable) -> None:
    assert list(unfinished(module("flyball.core.x", "raise NotImplementedError")))
    assert not list(unfinished(module("flyball.core.x", "# notes todo with hacking")))
