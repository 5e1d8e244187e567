"""The package as its own tests read it: every module parsed, nothing imported."""

import ast
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".hypothesis", "__pycache__", "build", "dist", "node_modules"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """`target` as written, resolved to a module where it names one of ours."""

    target: str
    line: int
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One file: its dotted name, its path from the root, its text and its tree."""

    name: str
    path: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"

    def imports(self, known: Sequence[str] = ()) -> Iterator[Import]:
        """Every import statement, those under TYPE_CHECKING and inside functions too."""
        functions = [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        hidden = {id(inner) for f in functions for inner in ast.walk(f)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                targets = [self._resolved(node, alias.name, known) for alias in node.names]
            else:
                continue
            for target in dict.fromkeys(targets):
                yield Import(target=target, line=node.lineno, hidden=id(node) in hidden)

    def _resolved(self, node: ast.ImportFrom, name: str, known: Sequence[str]) -> str:
        parts = self.name.split(".") + (["__init__"] if self.path.endswith("__init__.py") else [])
        package = [*parts[: -node.level], *filter(None, [node.module])] if node.level else [node.module or ""]
        module = ".".join(package)
        if module == "flyball":  # even for a floor: the root imports everything
            return module
        return f"{module}.{name}" if f"{module}.{name}" in known else module


def parsed(name: str, text: str, path: str = "") -> Module:
    return Module(name=name, path=path or f"src/{name.replace('.', '/')}.py", text=text, tree=ast.parse(text))


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of the package."""
    found = []
    for file in sorted((ROOT / "src" / "flyball").rglob("*.py")):
        relative = file.relative_to(ROOT / "src")
        name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        found.append(parsed(name, file.read_text(encoding="utf-8"), f"src/{relative.as_posix()}"))
    assert len(found) > len({"the root", "and its floors"}), "src/flyball is empty or elsewhere"
    return found


@pytest.fixture(scope="session")
def module() -> Callable[[str, str], Module]:
    """Makes a module from its name and text: what a rule must see, or must let pass."""
    return parsed


@pytest.fixture(scope="session")
def tracked() -> dict[str, str]:
    """Path to text of every file that is, or could be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0 and (ROOT / ".git").exists():
        files = [ROOT / line for line in listed.stdout.splitlines()]
    else:  # an unpacked source distribution
        files = [f for f in ROOT.rglob("*") if not any(p in NOT_OURS or p.startswith(".venv") for p in f.parts)]
    texts = {}
    for file in files:
        try:
            texts[file.relative_to(ROOT).as_posix()] = file.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return texts
