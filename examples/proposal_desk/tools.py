"""What the desk can do: read the CRM and the documents, save a document, send a proposal, send any mail.

Each tool says what it does to the world; none of them asks who may use it. That is the policy's business.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from mailer import Refused, letter, message_id
from world import crm, documents, mailer

from flyball import (
    Call,
    Critical,
    NotDone,
    Outgoing,
    Personal,
    Ref,
    Retry,
    Trusted,
    tool,
)

_MOST: Final = 40
# What is wrong with the arguments is as wrong the second time.
_ONCE: Final = Retry(attempts=1)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}\.md")


@dataclass(frozen=True)
class Customer:
    """A customer as the CRM has it; `contact` is the address that the CRM vouches for."""

    id: Trusted[str]
    name: Trusted[str]
    industry: Trusted[str]
    tier: Trusted[str]
    contact_name: Personal[str]
    contact: Trusted[Personal[str]]


@dataclass(frozen=True)
class Note:
    """What somebody wrote about a customer. Free text is untrusted, whoever owns the record."""

    written_at: str
    author: str
    text: str


@dataclass(frozen=True)
class Price:
    """One line of the price list; `cents` per unit, in euro cents."""

    sku: Trusted[str]
    name: Trusted[str]
    category: Trusted[str]
    unit: Trusted[str]
    cents: Trusted[int]


@dataclass(frozen=True)
class Clause:
    """A contract clause; one that is not `standard` needs the word of legal."""

    id: Trusted[str]
    topic: Trusted[str]
    text: Trusted[str]
    standard: Trusted[bool]


@dataclass(frozen=True)
class Document:
    """A text from the folder of documents."""

    name: Trusted[str]
    text: str


@dataclass(frozen=True)
class Saved:
    """A document on disk: its name and the SHA-256 of its bytes."""

    name: Trusted[str]
    sha256: Trusted[str]


@dataclass(frozen=True)
class Sent:
    """A mail that the server accepted, and the name it keeps it under."""

    message_id: Trusted[str]
    kept_as: Trusted[str]


@tool(effect="read", retry=_ONCE)
async def find_customer(call: Call, query: str) -> Customer:
    """Look a customer up by its id (C-017) or its exact name."""
    row = call.get(crm).execute(
        "SELECT id, name, industry, tier, contact_name, contact_email FROM customers"
        " WHERE id = ?1 OR name = ?1 COLLATE NOCASE", (query,),
    ).fetchone()  # fmt: skip
    if row is None:
        raise NotDone(f"no customer has the id or the name {query!r}")
    return Customer(*row)


@tool(effect="read")
async def read_notes(call: Call, customer: Annotated[str, Ref("Customer")]) -> list[Note]:
    """Read what colleagues and the customer wrote, oldest first. `customer` is the id."""
    rows = call.get(crm).execute(
        "SELECT written_at, author, text FROM notes WHERE customer = ? ORDER BY written_at, id LIMIT ?",
        (customer, _MOST),
    )
    return [Note(*row) for row in rows]


@tool(effect="read")
async def find_prices(call: Call, query: str) -> list[Price]:
    """Find items by SKU, or by words in their name or category, separated by blanks. Prices are in euro cents."""
    words = [word.lower() for word in query.replace(",", " ").split()]
    rows = call.get(crm).execute("SELECT sku, name, category, unit, cents FROM prices ORDER BY sku").fetchall()
    found = [row for row in rows if any(w == row[0].lower() or w in f"{row[1]} {row[2]}".lower() for w in words)]
    return [Price(*row) for row in found[:_MOST]]


@tool(effect="read")
async def find_clauses(call: Call, topics: list[str]) -> list[Clause]:
    """Find contract clauses by topic (payment, delivery, warranty, ...) or id (PAY-3); no topic: all of them."""
    wanted = {topic.lower() for topic in topics}
    rows = call.get(crm).execute("SELECT id, topic, text, standard FROM clauses ORDER BY id").fetchall()
    return [Clause(r[0], r[1], r[2], bool(r[3])) for r in rows if not wanted or {r[0].lower(), r[1]} & wanted]


@tool(effect="read", isolation="process")  # it reads whole files, whoever wrote them
async def find_documents(call: Call, about: str) -> list[Document]:
    """Find documents that mention a word, at most three. The price list is among them."""
    found = (Document(path.name, path.read_text("utf-8")) for path in sorted(call.get(documents).glob("*.md")))
    return [document for document in found if about.lower() in document.text.lower()][:3]


@tool(effect="reversible", idempotency="key", retry=_ONCE)
async def save_document(call: Call, name: str, text: str) -> Saved:
    """Save a document. A name that is taken by another text is refused; the same text again changes nothing."""
    path = _path(call, name)
    saved = Saved(name, hashlib.sha256(text.encode()).hexdigest())
    if path.exists() and _digest(path) != saved.sha256:
        raise NotDone(f"there is another document {name}")
    half = path.with_suffix(f".{call.key[:16]}.half")
    half.write_text(text, "utf-8", newline="\n")
    half.rename(path)
    return saved


@save_document.undo
async def remove_document(call: Call, saved: Saved, name: str, text: str) -> None:
    """Removes what was saved, unless somebody changed it since."""
    path = _path(call, name)
    if path.exists() and _digest(path) == saved.sha256:
        path.unlink()


@tool(effect="irreversible", egress=True, idempotency="probe", risk="high")
async def send_proposal(
    call: Call,
    customer: Annotated[str, Ref("Customer")],
    to: Critical[str],
    subject: str,
    body: Outgoing[str],
    discount: Critical[int],
) -> Sent:
    """Send the final proposal to the customer. `to` is the contact in the CRM, `discount` in whole per cent."""
    return await _send(call, to, subject, body)


@send_proposal.probe
async def proposal_sent(
    call: Call, customer: Annotated[str, Ref("Customer")], to: str, subject: str, body: str, discount: int
) -> Sent | None:
    """Did the mail server accept the mail of this call?"""
    return _sent(call)


@send_proposal.requires
async def still_their_contact(
    call: Call, customer: Annotated[str, Ref("Customer")], to: str, subject: str, body: str, discount: int
) -> str | None:
    """While a person decides, the CRM may change: a proposal goes to whom the CRM names when it goes."""
    row = call.get(crm).execute("SELECT contact_email FROM customers WHERE id = ?", (customer,)).fetchone()
    return None if row and row[0] == to else f"{to} is not the contact of {customer}"


@tool(effect="irreversible", egress=True, idempotency="probe", risk="high")
async def send_mail(call: Call, to: Critical[str], subject: str, body: Outgoing[str]) -> Sent:
    """Send any mail."""
    return await _send(call, to, subject, body)


@send_mail.probe
async def mail_sent(call: Call, to: str, subject: str, body: str) -> Sent | None:
    """Did the mail server accept the mail of this call?"""
    return _sent(call)


async def _send(call: Call, to: str, subject: str, body: str) -> Sent:
    post = call.get(mailer)
    try:
        await asyncio.to_thread(post.send, letter(call.key, to, subject, body))
    except Refused as down:
        raise NotDone(str(down)) from down
    _die_once()
    return Sent(message_id(call.key), post.accepted(call.key) or "")


def _sent(call: Call) -> Sent | None:
    kept_as = call.get(mailer).accepted(call.key)
    return Sent(message_id(call.key), kept_as) if kept_as else None


def _die_once() -> None:
    # Only the demo sets this: it shows what a power cut after the server's 250 does. The marker makes it happen once.
    marker = os.environ.get("DESK_CRASH_ONCE")
    if marker and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _path(call: Call, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise NotDone(f"{name!r} is no name for a document: letters, digits, - and _, then .md")
    return call.get(documents) / name


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
