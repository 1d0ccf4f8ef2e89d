"""Finds tests that cannot fail, and fixtures that no test uses: ``python dev/check_tests.py``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp)


@dataclass(frozen=True, order=True)
class Finding:
    """A line, and what is wrong with it."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def main(root: Path) -> int:
    """Print what is found in the folder's tests; 1 where there is anything."""
    files = sorted((root / "tests").rglob("*.py"))
    trees = {path.relative_to(root): ast.parse(path.read_text()) for path in files}
    findings = [Finding(path, *found) for path, tree in trees.items() for found in vain_checks(tree)]
    findings += [Finding(path, *found) for path, found in unused_fixtures(trees)]
    print(*sorted(findings), sep="\n", end="\n" if findings else "")
    return int(bool(findings))


# --- tests that cannot fail -----------------------------------------------------------------


def vain_checks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and message of each check that holds whatever the product does."""
    for node in ast.walk(tree):
        if reason := _reason(node):
            yield node.lineno, reason


def _reason(node: ast.AST) -> str | None:
    if isinstance(node, ast.Assert):
        return _always_true(node.test)
    return _never_looked_at(node.value) if isinstance(node, ast.Expr) else None


def _always_true(test: ast.expr) -> str | None:
    """Why an assertion says nothing."""
    if isinstance(test, ast.IfExp):
        # `assert a == b if c else d` compares nothing with d.
        return "asserts a conditional expression: put its branches in parentheses, or assert each one"
    if isinstance(test, ast.GeneratorExp):
        return "asserts a generator, which is always true"
    if isinstance(test, COMPREHENSIONS):
        return "asserts a comprehension, which is true where it has any element: use all() or any()"
    if isinstance(test, ast.BoolOp):
        return _always_true_operand(test)
    if isinstance(test, ast.Compare):
        return _trivial_comparison(test)
    return _constant(test)


def _always_true_operand(test: ast.BoolOp) -> str | None:
    """Of `and` each operand should say something, and of `or` as well: a constant decides for all."""
    return next((reason for operand in test.values if (reason := _always_true(operand))), None)


def _trivial_comparison(test: ast.Compare) -> str | None:
    sides = [test.left, *test.comparators]
    # What is called twice may give something else the second time.
    if _is_length(test.left) and isinstance(test.ops[0], ast.GtE) and ast.unparse(sides[1]) == "0":
        return "compares a length with 0, which it is never below"
    if any(isinstance(node, ast.Call) for side in sides for node in ast.walk(side)):
        return None
    if len({ast.dump(side) for side in sides}) < len(sides):
        return "compares an expression with itself"
    return None


def _is_length(side: ast.expr) -> bool:
    return isinstance(side, ast.Call) and ast.unparse(side.func) == "len"


def _constant(test: ast.expr) -> str | None:
    filled = {ast.Tuple: "elts", ast.List: "elts", ast.Set: "elts", ast.Dict: "keys", ast.JoinedStr: "values"}
    is_filled = bool(getattr(test, filled.get(type(test), ""), ()))
    is_constant = isinstance(test, ast.Constant) and bool(test.value)
    return "asserts a constant" if is_filled or is_constant or isinstance(test, ast.Lambda) else None


def _never_looked_at(value: ast.expr) -> str | None:
    """Why an expression that stands alone checks nothing."""
    if isinstance(value, ast.Compare | ast.GeneratorExp):
        return "is computed and not asserted"
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("all", "any", "isinstance"):
        return "is computed and not asserted"
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "pytest.raises" and len(value.args) == 1:
        return "raises() without `with` checks nothing"
    return None


# --- fixtures that no test uses -------------------------------------------------------------


def unused_fixtures(trees: dict[Path, ast.Module]) -> Iterator[tuple[Path, tuple[int, str]]]:
    """Path, line and message of each fixture that neither a test nor another fixture asks for."""
    used = {name for tree in trees.values() for name in _asked_for(tree)}
    for path, tree in trees.items():
        for function in _functions(tree):
            decorator = _fixture_decorator(function)
            if decorator is not None and not _is_automatic(decorator) and function.name not in used:
                yield path, (function.lineno, f"nothing uses the fixture {function.name}")


def _asked_for(tree: ast.Module) -> Iterator[str]:
    """Arguments of tests and fixtures, and all texts: `usefixtures` and `getfixturevalue` take those."""
    for function in _functions(tree):
        if function.name.startswith("test_") or _fixture_decorator(function) is not None:
            yield from (argument.arg for argument in function.args.args if argument.arg != function.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _fixture_decorator(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.expr | None:
    return next((it for it in function.decorator_list if ast.unparse(it).startswith("pytest.fixture")), None)


def _is_automatic(decorator: ast.expr) -> bool:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    return any(keyword.arg == "autouse" for keyword in keywords)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
