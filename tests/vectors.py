"""Finds the conformance vectors that others publish; they live beside the repository, not in it.

`FLYBALL_VECTORS` names their directory, else `../shared/vectors` beside the repository is taken. Where they are absent
a test skips and says so; under `CI=true` it fails, because a suite that silently did not run proves nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "vectors"


def directory() -> Path:
    """Where the vectors are, whether or not they are there."""
    named = os.environ.get("FLYBALL_VECTORS")
    return Path(named) if named else _BESIDE


def path(*parts: str) -> Path:
    """A file or folder of the vectors; skips the test (fails it under CI=true) when it is absent."""
    found = directory().joinpath(*parts)
    return found if found.exists() else _absent(found)


def load(*parts: str) -> Any:
    """The JSON of one file of the vectors."""
    return json.loads(path(*parts).read_bytes())


def files(*parts: str) -> list[Any]:
    """The JSON files below a folder as parameters of a test that hands each to `read`."""
    folder = directory().joinpath(*parts)
    found = sorted(folder.rglob("*.json"))
    if not found:
        return [pytest.param(folder, id="absent")]
    return [pytest.param(file, id=str(file.relative_to(folder).with_suffix(""))) for file in found]


def read(file: Path) -> Any:
    """The JSON of a parameter from `files`; skips or fails as `path` does when there was none."""
    return json.loads(file.read_bytes()) if file.is_file() else _absent(file)


def _absent(wanted: Path) -> NoReturn:
    reason = f"no vectors at {wanted}; set FLYBALL_VECTORS"
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(reason)
    pytest.skip(reason)
