"""What the desk stands on: the CRM, the mail server, the documents; and what policy may know of a customer.

Where these are is the tenant's business (`[tenants.local.settings]` in `flyball.toml`), never the release's. The port
of the mail server is known only once it runs, so `DESK_SMTP_PORT` goes before the setting.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Final

from mailer import Mailer, mailer_at

from flyball import Call, Entity, Tenant, entity, resource

HERE: Final = Path(__file__).resolve().parent


def state_of(tenant: Tenant) -> Path:
    """The folder of the tenant's state; a relative setting starts at this file."""
    return HERE / str(tenant.settings.get("state", ".demo"))


@resource(scope="tenant")
async def crm(tenant: Tenant) -> AsyncIterator[sqlite3.Connection]:
    """The CRM, opened for reading only: nothing at this desk may change it."""
    path = state_of(tenant) / "crm.db"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)) as db:
        db.row_factory = sqlite3.Row
        yield db


@resource(scope="tenant")
async def mailer(tenant: Tenant) -> AsyncIterator[Mailer]:
    """The company's mail server. It connects for each mail: a connection held for days is a connection lost."""
    port = os.environ.get("DESK_SMTP_PORT") or tenant.settings["smtp_port"]
    yield mailer_at(str(tenant.settings["smtp_host"]), int(port), state_of(tenant) / "mail")


@resource(scope="tenant")
async def documents(tenant: Tenant) -> AsyncIterator[Path]:
    """The folder of documents."""
    yield state_of(tenant) / "documents"


@entity("Customer", attributes={"tier": "string", "on_hold": "boolean", "industry": "string"})
async def customer(call: Call, key: str) -> Entity:
    """What policy decides about when an argument names a customer; raises LookupError where there is none."""
    row = call.get(crm).execute("SELECT tier, on_hold, industry FROM customers WHERE id = ?", (key,)).fetchone()
    if row is None:
        raise LookupError(f"no customer {key}")
    return Entity({"tier": row["tier"], "on_hold": bool(row["on_hold"]), "industry": row["industry"]})
