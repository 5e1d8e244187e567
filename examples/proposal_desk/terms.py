"""What the validator knows besides the letter that it looks at: our standard terms, from the documents."""

from __future__ import annotations

from collections.abc import Sequence

from drafts import Check
from world import documents

from flyball import Call, Passage, source


@source(tokens=1500, trusted=True)
async def standard_terms(call: Call, check: Check) -> Sequence[Passage]:
    """Our standard terms: what a letter is held against, whoever it goes to."""
    lines = (call.get(documents) / "terms.md").read_text("utf-8").splitlines()
    terms = [line.removeprefix("* ") for line in lines if line.startswith("* ")]
    return [Passage(term, f"terms.md#{number}") for number, term in enumerate(terms, start=1)]
