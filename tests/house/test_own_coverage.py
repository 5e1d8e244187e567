"""A module of core is covered, every line, by its own test file: whoever changes it finds all of its tests there."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.house.own_coverage import CORE, ROOT, TESTS, inside_functions


def test_every_module_of_core_has_its_own_test_file_and_no_test_file_is_without_a_module() -> None:
    modules = {m.stem for m in CORE.glob("*.py")} - {"__init__"}
    assert {t.stem.removeprefix("test_") for t in TESTS.glob("test_*.py")} == modules


def test_every_line_of_core_is_covered_by_the_test_file_of_its_module() -> None:
    apart = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))}
    child = [sys.executable, Path(__file__).with_name("own_coverage.py")]
    done = subprocess.run(child, cwd=ROOT, env=apart, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def test_lines_inside_functions_are_told_from_lines_outside() -> None:
    text = (
        "X = 1\nclass A:\n    y = 2\n    def f(self):\n        return 1\nasync def g():\n    def h():\n        pass\n"
    )
    assert inside_functions(text) == {5, 7, 8}
