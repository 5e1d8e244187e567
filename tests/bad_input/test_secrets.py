"""Secrets: a handle and nothing else, whatever a tool does with what it is given."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import pytest

from flyball import Blocked, Call, Entity, Executed, Failed, Flyball, NotDone, Ref, entity, tool
from flyball.core.config import Handle
from flyball.core.event import Progress
from flyball.core.result import Pending
from tests.bad_input.bank import KIM, ONCE, on_disk

TEXT = f"öffne-dich-{uuid4()}"  # not literally in this file, which is part of the release
PART = TEXT[:20]
ME = sys.modules[__name__]


@tool(effect="irreversible", credentials=["smtp"], retry=ONCE)
async def leak(call: Call, how: str) -> Any:
    """Do with a secret what must not be done."""
    secret = call.secret("smtp")
    told = f"login as me:{secret.reveal()}@host"
    call.progress(told)
    match how:
        case "returns it":
            return {"said": [told], secret.reveal(): 1}
        case "raises it":
            raise OSError(told)
        case "says it was not done with it":
            raise NotDone(told)
        case "returns it in what does not fit":
            return {f"__{secret.reveal()}": told}
        case "raises it where words are cut":
            raise OSError("x" * 3_970 + secret.reveal())
        case "returns its handle":
            return secret
    return f"{secret} {secret!r}"


@tool(effect="irreversible")
async def nosy(call: Call) -> str:
    """Ask for a secret that was not declared."""
    return call.secret("smtp").reveal()


@entity("Vault")
async def vault(call: Call, name: str) -> Entity:
    raise OSError(f"no vault for {call.secret('smtp').reveal()}")


@tool(effect="irreversible", credentials=["smtp"])
async def lock(call: Call, vault: Annotated[str, Ref("Vault")]) -> str:
    """Lock a vault."""
    return "locked"


@leak.requires
async def careless(call: Call, how: str) -> str | None:
    return f"no: {call.secret('smtp').reveal()}" if how == "gives it as a reason" else None


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flyball:
    monkeypatch.setenv("SMTP_PASSWORD", TEXT)
    return on_disk(tmp_path, None, '@id("all") permit (principal, action, resource);', ME,
                   secrets={"smtp": Handle("env", "SMTP_PASSWORD")})  # fmt: skip


HOWS = (
    "returns it", "raises it", "says it was not done with it", "returns it in what does not fit", "returns its handle",
    "raises it where words are cut", "prints its handle", "gives it as a reason",
)  # fmt: skip


def holding(text: str, folder: Path) -> list[Path]:
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert len(files) > 5
    return [f for f in files if text.encode() in f.read_bytes()]


@pytest.mark.promise("journal-secrets-stay-out")
@pytest.mark.parametrize("how", HOWS)
async def test_the_text_of_a_secret_stands_in_no_file_record_or_answer(bank: Flyball, tmp_path: Path, how: str) -> None:
    async with bank as app:
        told = await app.act(leak, {"how": how}, by=KIM, call_id="1")
        assert TEXT not in repr(told) and TEXT not in str(getattr(told, "value", ""))
        (run,) = app.runs.list()
        opened = [msgspec.json.encode([r.facts, r.private]).decode() for r in app.runs.records(run.id)]
        assert PART not in "".join(opened)
        await app.ledger.export(tmp_path / "evidence", disclose=(run.id,))
    assert not holding(PART, tmp_path)


@pytest.mark.promise("api-secrets-are-handles")
async def test_a_secret_that_a_tool_did_not_declare_is_not_given(bank: Flyball) -> None:
    async with bank as app:
        told = await app.act(nosy, {}, by=KIM, call_id="1")
        assert isinstance(told, Pending) and told.kind == "unknown"  # it may have done something before it asked
        (outcome,) = app.runs.records(told.run, kind="outcome")
        assert outcome.facts["code"] == "undeclared_secret"


@pytest.mark.promise("journal-secrets-stay-out")
async def test_what_a_tool_returns_with_a_secret_in_it_names_the_secret_instead(bank: Flyball) -> None:
    async with bank as app:
        told = await app.act(leak, {"how": "returns it"}, by=KIM, call_id="1")
        assert isinstance(told, Executed) and told.value["said"] == ["login as me:<secret smtp>@host"]
        again = await app.act(leak, {"how": "returns it in what does not fit"}, by=KIM, call_id="2")
        assert isinstance(again, Failed) and again.reason == "result_invalid"


@pytest.mark.promise("journal-secrets-stay-out")
async def test_what_a_loader_says_names_the_secret_instead(bank: Flyball, tmp_path: Path) -> None:
    async with bank as app:
        told = await app.act(lock, {"vault": "V-1"}, by=KIM, call_id="1")
        assert isinstance(told, Blocked) and "no vault for <secret smtp>" in str(told)
    assert not holding(PART, tmp_path)


async def test_who_watches_does_not_see_it_either(bank: Flyball) -> None:
    async with bank as app:
        heard: list[Progress] = []

        async def listen() -> None:
            async for event in app.watch():
                heard.extend([event] if isinstance(event, Progress) else [])

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await app.act(leak, {"how": "returns it"}, by=KIM, call_id="1")
        await asyncio.sleep(0.05)
        listening.cancel()
        assert [e.message for e in heard] == ["login as me:<secret smtp>@host"]
