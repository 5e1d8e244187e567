"""`make histories`: records the corpus of the version that is not released yet. Same code, same bytes."""

from __future__ import annotations

import asyncio
import shutil
import sys

from tests.histories.corpora import CURRENT
from tests.histories.evidence import CHOSEN, hand_out
from tests.histories.recorder import record
from tests.histories.v0_1.plays import PLAYS


def main() -> None:
    if CURRENT.sealed:
        sys.exit(f"the corpus of {CURRENT.version} is released: begin that of the next version beside it")
    recorded, content = CURRENT.folder / "recorded", CURRENT.folder / "content"
    made: dict[str, bytes] = {}
    for name in PLAYS:
        text, parts = asyncio.run(record(name))
        made[f"{name}.jsonl"] = text
        for digest, part in parts.items():
            made[digest] = part
    for folder in (recorded, content):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.name not in made:
                old.unlink()
                print(f"- {old.name}")
    for name, text in made.items():
        path = (recorded if name.endswith(".jsonl") else content) / name
        if not path.exists() or path.read_bytes() != text:
            print(f"{'*' if path.exists() else '+'} {name}")
            path.write_bytes(text)
    shutil.rmtree(CURRENT.folder / "evidence", ignore_errors=True)
    chosen = next(history for history in CURRENT.histories() if history.name == CHOSEN)
    asyncio.run(hand_out(chosen, CURRENT.folder / "evidence"))
    print(f"{len(PLAYS)} histories, {sum(map(len, made.values())) // 1000} kB in {CURRENT.folder.name}")


if __name__ == "__main__":
    main()
