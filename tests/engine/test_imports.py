import ast
from pathlib import Path

import pytest

import isotp

ENGINE = sorted((Path(isotp.__file__).parent / "engine").glob("*.py"))
ALLOWED = {"abc", "collections", "collections.abc", "dataclasses", "enum", "itertools", "struct", "typing"}


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.name)
def test_the_engine_knows_no_clock_no_thread_no_socket(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {name.name for name in node.names} <= ALLOWED
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module in ALLOWED
        elif isinstance(node, ast.ImportFrom) and node.level == 2:
            assert node.module in {"address", "can_frame", "errors", "stmin"}
