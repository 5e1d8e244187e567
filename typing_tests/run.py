"""Holds the types that users see, with both checkers, in their strictest mode.

Rules:

* `positive/*.py` are programs that must be accepted.
* In `negative/*.py` mypy and pyright must each refuse every line that ends in `# error`, and no other line.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MARK = re.compile(r"#\s*error\b")

Lines = dict[str, set[int]]


def _said(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{command[0]} could not run:\n{done.stdout}{done.stderr}")
    return done.stdout


def by_mypy(folder: Path) -> Lines:
    """Lines with an error."""
    found: Lines = defaultdict(set)
    for line in _said("mypy", "--output", "json", str(folder)).splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry["severity"] == "error":
                found[Path(entry["file"]).name].add(entry["line"])
    return found


def by_pyright(folder: Path) -> Lines:
    """Lines with an error; pyright counts from nought."""
    found: Lines = defaultdict(set)
    for entry in json.loads(_said("pyright", "--outputjson", str(folder)))["generalDiagnostics"]:
        if entry["severity"] == "error":
            found[Path(entry["file"]).name].add(entry["range"]["start"]["line"] + 1)
    return found


def marked(folder: Path) -> Lines:
    """Lines that must be refused."""
    lines = {f.name: f.read_text(encoding="utf-8").splitlines() for f in sorted(folder.glob("*.py"))}
    return {name: {n for n, line in enumerate(text, 1) if MARK.search(line)} for name, text in lines.items()}


def differences(checker: str, folder: Path, found: Lines) -> list[str]:
    wanted = marked(folder)
    said = []
    for name in sorted({*wanted, *found}):
        must, does = wanted.get(name, set()), found.get(name, set())
        where = f"{folder.relative_to(ROOT)}/{name}"
        said += [f"{where}:{line}: {checker} accepts what it must refuse" for line in sorted(must - does)]
        said += [f"{where}:{line}: {checker} refuses this" for line in sorted(does - must)]
    return said


def main() -> int:
    positive, negative = HERE / "positive", HERE / "negative"
    empty = [name for name, lines in marked(negative).items() if not lines]
    wrong = [f"typing_tests/negative/{name}: marks no line" for name in empty]
    for folder in (positive, negative):
        wrong += differences("mypy", folder, by_mypy(folder))
        wrong += differences("pyright", folder, by_pyright(folder))
    refusals = sum(map(len, marked(negative).values()))
    print("\n".join(wrong) or f"typing: all accepted, {refusals} refused, and both checkers agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
