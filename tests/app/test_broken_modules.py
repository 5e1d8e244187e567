"""Finding a project's values: what is wrong in somebody's own code is told as theirs, with file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyball.app.project import load
from flyball.core.errors import FlyballError

TOOL = "from flyball import Call, tool\n\n@tool(effect='read')\ndef weigh(call: Call, n: int) -> int:\n    return n\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def refused(folder: Path, *modules: str) -> FlyballError:
    with pytest.raises(FlyballError) as caught:
        load("desk", folder, modules)
    return caught.value


@pytest.mark.parametrize(
    ("text", "place", "why", "fix"),
    [
        ("x = 1\ndef f(:\n", "mine.py:2", "SyntaxError: ", "Correct it there."),
        ("\nimport requestz.deep\n", "mine.py:2", "No module named 'requestz'", "install requestz in this environment"),
        ("import sys\n\nsys.exit(3)\n", "mine.py:3", "SystemExit: 3", "__main__"),
        ("from flyball import tol\n", "mine.py:1", "ImportError: ", "Correct it there."),
        ("def f():\n    return 1 / 0\nf()\n", "mine.py:2", "ZeroDivisionError: division by zero", "Correct it there."),
    ],
)
def test_what_is_wrong_in_a_module_is_told_with_its_place(
    folder: Path, text: str, place: str, why: str, fix: str
) -> None:
    (folder / "mine.py").write_text(text)
    bad = refused(folder, "mine")
    assert bad.code == "module_failed" and bad.what == f"{place}: module mine failed while it was imported"
    assert why in bad.why and fix in bad.fix


def test_a_module_that_another_one_imports_is_the_place(folder: Path) -> None:
    (folder / "mine.py").write_text("import theirs\n")
    (folder / "theirs.py").write_text("\n\nraise ValueError('no')\n")
    assert refused(folder, "mine").data["place"] == "theirs.py:3"


def test_a_misspelt_module_is_named_with_the_nearest(folder: Path) -> None:
    (folder / "tools.py").write_text(TOOL)
    bad = refused(folder, "toolz")
    assert bad.code == "module_not_found" and "Did you mean tools?" in bad.fix
    assert refused(folder, "zzzzzzzz").fix == "Correct modules in flyball.toml."
    assert refused(folder, "tols.inner").code == "module_not_found"


def test_an_error_of_flyball_keeps_its_own_words(folder: Path) -> None:
    (folder / "mine.py").write_text("from flyball import prompt\n\nprompt('gone.md')\n")
    assert refused(folder, "mine").code == "no_prompt"


def test_a_misspelt_tool_is_named_with_the_nearest(folder: Path) -> None:
    (folder / "mine.py").write_text(TOOL)
    project = load("desk", folder, ["mine"])
    with pytest.raises(FlyballError, match=r"there are: weigh. Did you mean weigh\?"):
        project.tool("wiegh")
    with pytest.raises(FlyballError, match="Name its module"):
        project.tool("fly")
