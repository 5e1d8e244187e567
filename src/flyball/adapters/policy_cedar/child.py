"""The parent's side of `check.py`: starts it, limits it, and turns its death into a finding."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cedarpy
import msgspec

from flyball.core.policy import Finding, PolicyError

MAX_TEXT: Final = 1_048_576
SECONDS: Final = 60

_SCRIPT: Final = Path(__file__).with_name("check.py")


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """One policy in Cedar's JSON form with its place."""

    file: str
    line: int
    est: dict[str, Any]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that Cedar says is wrong; `id` is the policy's @id where it could be read."""

    file: str
    line: int
    what: str
    id: str | None = None

    @property
    def where(self) -> str:
        """`desk.cedar:7 discount-over-10`."""
        return f"{self.file}:{self.line}" + (f" {self.id}" if self.id else "")


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the child found: every policy that could be read, every fault."""

    policies: tuple[Parsed, ...]
    faults: tuple[Fault, ...]


def check(files: Mapping[str, str], schema: str = "") -> Checked:
    """Reads policy texts in a child process. `schema`: Cedar text or JSON; policies are validated against it.

    Raises PolicyError where the texts are too large or the child did not survive them.
    """
    size = sum(len(text) for text in files.values())
    if size > MAX_TEXT:
        what = f"the policies have {size} characters, at most {MAX_TEXT} are read"
        raise PolicyError([Finding(where="policies", what=what)])
    asked = json.dumps({"files": dict(sorted(files.items())), "schema": schema})
    return msgspec.json.decode(_answer(asked), type=Checked)


# A pure function of its input: the same texts under the same schema need one child only.
@functools.lru_cache(maxsize=64)
def _answer(asked: str) -> bytes:
    # By path, not by -m: that would import the whole package first. -P: nothing beside the script shadows anything.
    command = [sys.executable, "-P", "-s", str(_SCRIPT)]
    try:
        done = subprocess.run(
            command, input=asked.encode(), capture_output=True, timeout=SECONDS, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired as late:
        raise _died(late.stderr, f"checking took more than {SECONDS} seconds") from late
    if done.returncode:
        raise _died(done.stderr, _cause(done.returncode, done.stderr))
    return done.stdout


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": str(Path(cedarpy.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}


def _cause(code: int, stderr: bytes) -> str:
    if code < 0:
        return f"the policy compiler crashed (signal {-code}): the policy is probably nested too deeply"
    return f"the policy compiler failed: {stderr.decode(errors='replace').strip().rpartition(chr(10))[2]}"


def _died(stderr: bytes | None, what: str) -> PolicyError:
    lines = (stderr or b"").decode(errors="replace").splitlines()
    places = [line for line in lines if line.rpartition(":")[2].isdigit()]
    return PolicyError([Finding(where=places[-1] if places else "policies", what=what, fix="Simplify or split it.")])
