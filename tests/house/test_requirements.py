"""Dependencies: open above in what users install, exact and hashed in what we develop with."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("runtime", "dev", "agentdojo")


def locked(name: str) -> dict[str, str]:
    """Each entry of a lock by its name, on one line with its hashes. Any other line names itself."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.sub(r"\s*#.*|\\\n", "", text).splitlines()
    return {entry.partition("==")[0]: entry for entry in entries if entry}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each)[0].lower().replace("_", "-") for each in requirements}


@pytest.mark.parametrize("lock", [*LOCKS, "peers"])
def test_every_pin_has_its_hashes(lock: str) -> None:
    assert [name for name, rest in locked(lock).items() if "--hash=sha256:" not in rest] == []


def test_users_are_not_held_back() -> None:
    assert [each for each in PROJECT["dependencies"] if re.search(r"<|==|~=", each)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked(lock: str) -> None:
    extra = PROJECT["optional-dependencies"].get(lock, [])
    assert names(PROJECT["dependencies"]) | names(extra) <= set(locked(lock))


@pytest.mark.parametrize("lock", ["dev", "agentdojo"])
def test_locks_agree(lock: str) -> None:
    runtime, other = locked("runtime"), locked(lock)
    assert {name: entry for name, entry in runtime.items() if other.get(name) != entry} == {}
