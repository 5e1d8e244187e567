"""Names: words of the domain in the package, and nothing anywhere that names the place where it was written."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EMPTY_WORDS = {"base", "common", "helper", "helpers", "manager", "managers", "util", "utils"}
SHARED_PLACES = {"", "home", "mnt", "opt", "private", "root", "srv", "tmp", "usr", "users", "var", "volumes"}
INDEX_HOST = re.compile(r"https?://[\w.-]*(pythonhosted|registry|artifactory|devpi|nexus)|https?://[\w.:-]+/simple\b")
INDEX_OPTION = re.compile(r"(?m)^\s*(--(extra-)?index-url|--find-links|--trusted-host|-[if])[ =]+\S|index-url\s*=\s*\S")
OPTION_FILES = (".txt", ".in", ".toml", ".cfg", ".ini", "Makefile")


def empty_words(module) -> Iterator[str]:
    for part in module.name.split("."):
        if EMPTY_WORDS & set(part.split("_")):
            yield f"{module.path}: {part} says nothing"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            words = {w.lower() for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", node.name)}
            if EMPTY_WORDS & words:
                yield f"{module.at(node.lineno)}: {node.name} says nothing"


def place(root: Path) -> re.Pattern[str]:
    """What a path around this checkout looks like: `/home/anna/`, or `/build/` where that is nobody else's."""
    first, *rest = root.parts[1:] or [""]
    own = (first, *rest[:1]) if first.lower() in SHARED_PLACES else (first,)
    return re.compile(rf"(?<![\w.~-])/{re.escape('/'.join(own))}/\w")


def test_names_say_something(modules) -> None:
    assert [each for m in modules for each in empty_words(m)] == []


def test_no_file_names_the_place_where_it_was_written(tracked) -> None:
    here = place(ROOT)
    assert [path for path, text in tracked.items() if here.search(text)] == []


def test_no_file_names_an_index(tracked) -> None:
    assert [path for path, text in tracked.items() if INDEX_HOST.search(text)] == []
    assert [path for path, text in tracked.items() if path.endswith(OPTION_FILES) and INDEX_OPTION.search(text)] == []


# The rules see what they are for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["flyball.core.utils", "flyball.runtime.tool_helpers", "flyball.ports.base"])
def test_an_empty_module_name_is_seen(module: Callable, name: str) -> None:
    assert list(empty_words(module(name, "")))


def test_an_empty_class_name_is_seen(module: Callable) -> None:
    assert list(empty_words(module("flyball.core.x", "class RunManager: ...")))
    assert not list(empty_words(module("flyball.core.x", "class Database(Management): ...")))


def test_a_place_is_seen() -> None:
    assert place(Path("/home/anna/flyball")).search("see /home/anna/notes.md")
    assert place(Path("/build/flyball")).search("cd '/build/flyball'")
    assert not place(Path("/home/anna/flyball")).search("see /home/you/notes.md and ~/home/anna/x")
    assert not place(Path("/build/flyball")).search("src/build/x and /builds/x")


def test_an_index_is_seen() -> None:
    assert INDEX_HOST.search("https" + "://files.pythonhosted.org/x")
    assert INDEX_OPTION.search("a==1\n--find" + "-links /x")
    assert not INDEX_OPTION.search("pip-compile --no-emit-index-url --no-emit-find-links")
