"""What every adapter of `ports.guard` does. Run each check of `CHECKS` on your guard and two texts:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_it_is_a_guard(check):
        await check(Trial(make=open_it, trips="my card is 4111 1111 1111 1111", clean="my card is at home"))

`trips` is a text that the guard does something about, `clean` one that it lets pass. What must hold whatever a guard
answers (its time, its failures, its fail mode) is the station's business: `tests/runtime/test_guard.py` holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from flyball.core.guard import Stage, Subject, Verdict, nonsense, redacted
from flyball.ports.guard import Guard

ODD: Final = (
    "\x00\x1b[2J",
    "\u202e\u2066\U000e0041",
    "é" * 3,
    "👩\u200d👧",
    "a" * 20_000,
    "4" * 5_000,
    "%" * 2_000,
    "\n" * 500,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A guard to try, and what it is for. `stage` is one that it is made for."""

    make: Callable[[], Guard]
    trips: str
    clean: str
    stage: Stage = "tool_output"

    def subject(self, *passages: str) -> Subject:
        """What it is shown."""
        return Subject(stage=self.stage, passages=passages, tenant="acme", run="r-1", step="1", action="look")

    async def asked(self, *passages: str) -> Verdict:
        """What a fresh guard says of these passages, held to what an answer is."""
        guard = self.make()
        try:
            verdict = await guard.check(self.subject(*passages))
        finally:
            await guard.close()
        assert nonsense(verdict, passages) == ""
        return verdict


Check: TypeAlias = Callable[[Trial], Awaitable[None]]


async def it_lets_pass_what_is_nothing_to_it(trial: Trial) -> None:
    """A clean text is passed, without an edit."""
    verdict = await trial.asked(trial.clean)
    assert verdict.action == "pass" and verdict.edits == ()


async def it_sees_what_it_is_for(trial: Trial) -> None:
    """A text that trips it is not passed, and a word says why."""
    verdict = await trial.asked(trial.trips)
    assert verdict.action != "pass" and verdict.reason


async def what_it_redacts_trips_it_no_more(trial: Trial) -> None:
    """Its edits take out what it saw: looked at again, the text is clean."""
    verdict = await trial.asked(trial.trips)
    if verdict.action == "redact":
        assert (await trial.asked(redacted(trial.trips, verdict.edits))).action == "pass"


async def it_says_which_passage(trial: Trial) -> None:
    """Of several passages an edit names the one that it is in, by its place; the others stay as they are."""
    verdict = await trial.asked(trial.clean, trial.trips, trial.clean)
    assert verdict.action != "pass" and {edit.passage for edit in verdict.edits} <= {1}
    alone = await trial.asked(trial.trips)
    assert [(e.start, e.end) for e in alone.edits] == [(e.start, e.end) for e in verdict.edits]


async def offsets_count_characters_of_the_text(trial: Trial) -> None:
    """Not bytes, nor those of a normalised form: what stands before and after stays as it is."""
    before, after = "Grüße 👩\u200d👧 ﬁn: ", " — ﬁn, Grüße."
    verdict = await trial.asked(before + trial.trips + after)
    if verdict.action == "redact":
        left = redacted(before + trial.trips + after, verdict.edits)
        assert left.startswith(before) and left.endswith(after)


async def nothing_is_nothing(trial: Trial) -> None:
    """Without a passage, or with an empty one, it passes."""
    assert (await trial.asked()).action == "pass"
    assert (await trial.asked("")).action == "pass"


async def odd_text_is_no_error(trial: Trial) -> None:
    """Control characters, long runs and scripts of all kinds are answered like any text."""
    for text in ODD:
        await trial.asked(text)
    await trial.asked(*ODD)


async def many_at_once_are_told_apart(trial: Trial) -> None:
    """Looks that run at the same time do not mix."""
    guard = trial.make()
    texts = [trial.trips if n % 2 else trial.clean for n in range(16)]
    said = await asyncio.gather(*(guard.check(trial.subject(text)) for text in texts))
    await guard.close()
    assert [verdict.action != "pass" for verdict in said] == [text == trial.trips for text in texts]


async def it_names_itself(trial: Trial) -> None:
    """Its version is one short word, the same each time it is made so."""
    one, other = trial.make(), trial.make()
    assert one.version == other.version and 0 < len(one.version) <= 64 and not set(one.version) & set(" \n\t")
    await one.close()
    await other.close()


CHECKS: Final[tuple[Check, ...]] = (
    it_lets_pass_what_is_nothing_to_it,
    it_sees_what_it_is_for,
    what_it_redacts_trips_it_no_more,
    it_says_which_passage,
    offsets_count_characters_of_the_text,
    nothing_is_nothing,
    odd_text_is_no_error,
    many_at_once_are_told_apart,
    it_names_itself,
)
