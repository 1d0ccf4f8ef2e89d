"""How many lines the functions of a package have, their docstrings included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def function_lines(package: Path) -> list[int]:
    """Lines of each function and method, from `def` to its end."""
    # A migration stays as it landed.
    files = (path for path in package.rglob("*.py") if "migrations" not in path.relative_to(package).parts)
    return [lines for path in sorted(files) for lines in _lines_in(path)]


def _lines_in(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, FUNCTIONS):
            assert node.end_lineno is not None
            yield node.end_lineno - node.lineno + 1
