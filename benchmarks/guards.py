"""The deterministic pack of guards on 2 kB of text: processor time. `python -m benchmarks.guards`.

`clean`: prose in which nothing is found. `dirty`: the same with an address, a card, an account, a telephone number and
a key in it. `adverse`: digits and signs that begin many things and end none. `other scripts`: text of which every
character is looked up. Texts differ from one another, so that nothing is remembered.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from flyball.app.plugs import adapter
from flyball.core.guard import GuardConfig

NAME: Final = "guards"
LENGTH: Final = 2_000
PROSE: Final = "The order of last week came in two pieces, and nobody answered when we wrote about it on Monday. "
FOUND: Final = (
    "pat@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+49 170 1234567",
    "AKIA" + "IOSFODNN7EXAMPLE",
)  # fmt: skip
TEXTS: Final = {
    "clean": PROSE, "dirty": PROSE + " ".join(FOUND) + " ", "adverse": "41 a@b +4 DE12 sk- token= 0123 ",
    "other scripts": "Заказ пришёл разбитым, и никто не ответил на наше письмо в понедельник. ",
}  # fmt: skip


def measure(size: Size, folder: Path) -> list[Row]:
    """Microseconds for each text of 2 kB."""
    pack = adapter("guard.pack")(GuardConfig(name="pack"))
    return [
        row(NAME, f"the pack on 2 kB, {name}", [_took(pack, text, 10 * size.steps) for _ in range(size.rounds + 1)][1:],
            "us") for name, text in TEXTS.items()
    ]  # fmt: skip


def _took(pack: object, text: str, times: int) -> float:
    texts = [f"{number} {text * (LENGTH // len(text) + 1)}"[:LENGTH] for number in range(times)]
    began = time.process_time()
    for each in texts:
        pack.find(each)  # type: ignore[attr-defined]
    return (time.process_time() - began) / times * 1e6


if __name__ == "__main__":
    section(NAME, measure)
