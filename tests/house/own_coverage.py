"""Runs the tests of core once and says, per module, which lines its own test file does not reach.

Rules:

* `core/x.py` is covered by `tests/core/test_x.py` alone: what another test happens to run does not count.
* What runs when a module is imported (definitions, constants) counts whoever imported it.
"""

import ast
import contextlib
import json
import sys
import tomllib
from pathlib import Path

import coverage
import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "flyball" / "core"
TESTS = ROOT / "tests" / "core"
QUIET = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"


class Contexts:
    """A pytest plugin: what runs for a test file is counted under the file's name."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured

    def pytest_configure(self) -> None:
        # Lines, not luck: few examples, the same ones every time.
        hypothesis.settings.register_profile("own", max_examples=25, derandomize=True, database=None, deadline=None)
        hypothesis.settings.load_profile("own")

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.Module):
            self.measured.switch_context(collector.path.stem)

    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        self.measured.switch_context(Path(location[0]).stem)


def inside_functions(text: str) -> set[int]:
    """Lines that run only when something is called."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines.update(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return lines


def missing(measured: coverage.Coverage, module: Path) -> list[int]:
    """The lines of a module that its own test file does not reach."""
    data = measured.get_data()
    data.set_query_contexts(None)
    by_nobody = set(measured.analysis2(str(module))[3])
    data.set_query_contexts([f"^test_{module.stem}$"])
    not_by_own = set(measured.analysis2(str(module))[3])
    return sorted(by_nobody | (not_by_own & inside_functions(module.read_text(encoding="utf-8"))))


def main() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["coverage"]
    measured = coverage.Coverage(data_file=None, config_file=False, include=[str(CORE / "*.py")])
    measured.set_option("report:exclude_also", settings["report"]["exclude_also"])
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:cov", "-p", "no:xdist", "-W", QUIET, f"--rootdir={ROOT}"]
    with contextlib.redirect_stdout(sys.stderr):
        measured.start()
        ended = pytest.main([*options, str(TESTS)], plugins=[Contexts(measured)])
        measured.stop()
    if ended not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.exit(ended)
    modules = sorted(m for m in CORE.glob("*.py") if m.stem != "__init__")
    print(json.dumps({m.stem: lines for m in modules if (lines := missing(measured, m))}))


if __name__ == "__main__":
    main()
