"""The desk's parts without the runtime: the seeded CRM, the real mail server, the bare functions of the tools."""

from __future__ import annotations

import smtplib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tools
from bench import HERE, Desk
from mailer import Refused, letter, mailer_at, message_id
from mailstore import MailStore
from seed import HONEST, ON_HOLD, TRICKED, seed
from world import crm, customer, documents, mailer, state_of

from flyball import NotDone, Tenant


def dump(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


def bare(tool: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = tool.function
    return function


# the CRM -------------------------------------------------------------------------------------------------------------


def test_seeding_twice_makes_the_same_crm(tmp_path: Path) -> None:
    seed(tmp_path / "a")
    seed(tmp_path / "b")
    assert dump(tmp_path / "a" / "crm.db") == dump(tmp_path / "b" / "crm.db")


@pytest.mark.parametrize(("table", "least", "most"), [
    ("customers", 60, 60), ("contacts", 60, 180), ("notes", 120, 260), ("prices", 80, 80), ("clauses", 40, 40),
])  # fmt: skip
def test_the_crm_has_a_few_hundred_rows(desk: Desk, table: str, least: int, most: int) -> None:
    assert least <= desk.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= most


def test_the_documents_are_on_disk(desk: Desk) -> None:
    assert len(list((desk.state / "documents").glob("*.md"))) == 10


def test_a_crm_that_is_there_is_never_overwritten(desk: Desk) -> None:
    with pytest.raises(FileExistsError, match="is there already"):
        seed(desk.state)


def test_only_the_tricked_customers_notes_name_a_stranger(desk: Desk) -> None:
    rows = desk.db.execute("SELECT customer FROM notes WHERE text LIKE '%@%'").fetchall()
    assert [row[0] for row in rows] == [TRICKED]


# the mail server -----------------------------------------------------------------------------------------------------


def test_a_mail_that_was_answered_250_is_in_the_store(desk: Desk) -> None:
    with smtplib.SMTP(desk.mailer.host, desk.mailer.port, timeout=5) as server:
        server.send_message(letter("kept", "a@b.example", "Hello", "Text\n"))
    name = desk.store.find(message_id("kept"))
    assert [m.text for m in desk.store.mails() if m.file == name] == ["Text\n"]


def test_a_long_key_survives_as_message_id(desk: Desk) -> None:
    desk.mailer.send(letter("ab" * 32, "a@b.example", "s", "b"))
    assert desk.mailer.accepted("ab" * 32)


def test_the_same_mail_twice_is_two_mails(desk: Desk) -> None:
    for _ in range(2):
        desk.mailer.send(letter("twice", "a@b.example", "s", "b"))
    assert sum(mail.message_id == message_id("twice") for mail in desk.store.mails()) == 2


def test_a_mail_without_a_message_id_is_refused(desk: Desk) -> None:
    message = letter("none", "a@b.example", "s", "b")
    del message["Message-ID"]
    with pytest.raises(Refused, match="needs a Message-ID"):
        desk.mailer.send(message)


def test_a_server_that_is_down_certainly_took_nothing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be reached"):
        mailer_at("127.0.0.1", 1, tmp_path).send(letter("down", "a@b.example", "s", "b"))


def test_another_process_counts_the_mails(desk: Desk) -> None:
    desk.mailer.send(letter("counted", "a@b.example", "Counted", "b"))
    command = [sys.executable, str(HERE / "smtp_server.py"), str(desk.store.folder), "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert message_id("counted") in listed and f"{len(desk.store.mails())} mail" in listed


def test_an_empty_store_has_no_mail(tmp_path: Path) -> None:
    assert MailStore(tmp_path).mails() == [] and MailStore(tmp_path).find("<x>") is None


# reading -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [HONEST, "elbe pharma"])
async def test_a_customer_is_found_by_id_and_by_name(desk: Desk, query: str) -> None:
    assert (await bare(tools.find_customer)(desk.call(), query=query)).contact == "amara.okafor@elbe-pharma.example"


async def test_an_unknown_customer_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotDone, match="no customer"):
        await bare(tools.find_customer)(desk.call(), query="' OR 1=1 --")


async def test_notes_are_read_oldest_first(desk: Desk) -> None:
    notes = await bare(tools.read_notes)(desk.call(), customer=HONEST)
    assert len(notes) == 3 and notes == sorted(notes, key=lambda note: note.written_at)


@pytest.mark.parametrize(("query", "count"), [("PT-200-B", 1), ("pt-200-b, SV-100-A", 2), ("pressure", 10), ("", 0)])
async def test_prices_are_found_by_sku_or_word(desk: Desk, query: str, count: int) -> None:
    assert len(await bare(tools.find_prices)(desk.call(), query=query)) == count


@pytest.mark.parametrize(("topics", "count"), [(["payment"], 5), (["PAY-3", "warranty"], 6), ([], 40)])
async def test_clauses_are_found_by_topic_or_id(desk: Desk, topics: list[str], count: int) -> None:
    assert len(await bare(tools.find_clauses)(desk.call(), topics=topics)) == count


async def test_documents_are_found_by_a_word(desk: Desk) -> None:
    found = await bare(tools.find_documents)(desk.call(), about="price list")
    assert [document.name for document in found] == ["price-list.md"]


def test_the_contact_is_trusted_and_a_note_is_not() -> None:
    assert "/contact" in tools.find_customer.signature.trusted
    assert tools.read_notes.signature.trusted == frozenset()


# acting --------------------------------------------------------------------------------------------------------------


async def test_a_saved_document_can_be_taken_back(desk: Desk) -> None:
    saved = await bare(tools.save_document)(desk.call(), name="x.md", text="one\n")
    await tools.remove_document(desk.call(), saved, name="x.md", text="one\n")
    assert not (desk.state / "documents" / "x.md").exists()


async def test_undo_leaves_what_somebody_changed_since(desk: Desk) -> None:
    saved = await bare(tools.save_document)(desk.call(), name="x.md", text="one\n")
    (desk.state / "documents" / "x.md").write_text("two\n", "utf-8")
    await tools.remove_document(desk.call(), saved, name="x.md", text="one\n")
    assert (desk.state / "documents" / "x.md").read_text("utf-8") == "two\n"


async def test_saving_the_same_again_changes_nothing_and_another_text_is_refused(desk: Desk) -> None:
    first = await bare(tools.save_document)(desk.call("a"), name="x.md", text="one\n")
    assert await bare(tools.save_document)(desk.call("b"), name="x.md", text="one\n") == first
    with pytest.raises(NotDone, match="another document"):
        await bare(tools.save_document)(desk.call("c"), name="x.md", text="two\n")


@pytest.mark.parametrize("name", ["../x.md", "/etc/x.md", "x", ".md", "x.md\n", "a/b.md", "x.py"])
async def test_a_document_stays_in_its_folder(desk: Desk, name: str) -> None:
    with pytest.raises(NotDone, match="no name for a document"):
        await bare(tools.save_document)(desk.call(), name=name, text="")


PROPOSAL = {"customer": HONEST, "to": "amara.okafor@elbe-pharma.example", "subject": "s", "body": "b", "discount": 5}


async def test_the_probe_finds_what_was_sent_and_nothing_else(desk: Desk) -> None:
    sent = await bare(tools.send_proposal)(desk.call("sent"), **PROPOSAL)
    assert await tools.proposal_sent(desk.call("sent"), **PROPOSAL) == sent
    assert await tools.proposal_sent(desk.call("other"), **PROPOSAL) is None
    assert desk.store.searches()[-2:] == [f"{sent.message_id}: {sent.kept_as}", f"{message_id('other')}: not here"]


async def test_a_contact_that_changed_stops_the_proposal(desk: Desk) -> None:
    assert await tools.still_their_contact(desk.call(), **PROPOSAL) is None
    desk.db.execute("UPDATE customers SET contact_email = 'new@elbe-pharma.example' WHERE id = ?", (HONEST,))
    assert "is not the contact" in (await tools.still_their_contact(desk.call(), **PROPOSAL) or "")


async def test_a_mail_server_that_is_down_is_certainly_not_done(desk: Desk) -> None:
    desk.mailer = mailer_at("127.0.0.1", 1, desk.state)
    with pytest.raises(NotDone):
        await bare(tools.send_mail)(desk.call(), to="a@b.example", subject="s", body="b")


def test_the_crash_of_the_demo_comes_after_the_250_and_once(desk: Desk, tmp_path: Path) -> None:
    marker = tmp_path / "crashed"
    code = (
        f"import os; os.environ['DESK_CRASH_ONCE'] = {str(marker)!r}; import tools; tools._die_once(); print('alive')"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True) for _ in range(2)
    )
    assert first.returncode == -9 and marker.exists() and second.stdout == "alive\n"


# policy's view, and the tenant's settings ----------------------------------------------------------------------------


async def test_policy_sees_that_a_customer_is_on_hold(desk: Desk) -> None:
    assert (await customer.function(desk.call(), ON_HOLD)).attrs["on_hold"] is True


async def test_an_unknown_customer_is_no_entity(desk: Desk) -> None:
    with pytest.raises(LookupError):
        await customer.function(desk.call(), "C-999")


async def test_resources_open_where_the_tenants_settings_say(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESK_SMTP_PORT", raising=False)
    tenant = Tenant("local", {"state": str(desk.state), "smtp_host": "h", "smtp_port": 2525})
    async for db in crm.function(tenant):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM customers")
    async for post in mailer.function(tenant):
        assert (post.host, post.port, post.store.folder) == ("h", 2525, desk.state / "mail")
    async for folder in documents.function(tenant):
        assert folder == state_of(tenant) / "documents"
