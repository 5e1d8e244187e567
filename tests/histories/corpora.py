"""The corpora: one for each version, with the code of its runs. Once released, it is never edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.histories.reading import History
from tests.histories.v0_1 import shop

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The histories that a version recorded. `sealed`: the digest that its files must have; empty until its release."""

    version: str
    modules: Sequence[ModuleType]
    sealed: str = ""

    @property
    def folder(self) -> Path:
        return HERE / f"v{self.version.replace('.', '_')}"

    def histories(self) -> list[History]:
        """In order of their names."""
        return [
            History(path, self.folder / "content", tuple(self.modules))
            for path in sorted((self.folder / "recorded").glob("*.jsonl"))
        ]

    def digest(self) -> str:
        """Over every file of it, with its name."""
        files = sorted(p for p in self.folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
        sums = [f"{sha256(p.read_bytes()).hexdigest()}  {p.relative_to(self.folder).as_posix()}\n" for p in files]
        return sha256("".join(sums).encode()).hexdigest()


CORPORA: Final = (Corpus(version="0.1", modules=(shop,)),)
CURRENT: Final = CORPORA[-1]
