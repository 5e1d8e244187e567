"""Every port that keeps something of a tenant is asked for that tenant by name: there is no way to forget it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from flyball.core.journal import Append
from flyball.ports.journal import Journal
from flyball.ports.keyring import Keyring
from flyball.ports.memory import MemoryIndex
from flyball.ports.recording import Recording

ASKED = [Journal.view, Keyring.subject, Keyring.pseudonym, Recording.person, Recording.seal, Recording.open,
         Recording.write, MemoryIndex.held, MemoryIndex.apply, MemoryIndex.search, MemoryIndex.rows]  # fmt: skip


@pytest.mark.promise("gate-tenant-is-always-named")
@pytest.mark.parametrize("method", ASKED, ids=lambda method: method.__qualname__)
def test_whoever_reads_or_seals_names_the_tenant(method: Callable[..., Any]) -> None:
    _, tenant, *_ = inspect.signature(method).parameters.values()
    assert (tenant.name, tenant.annotation, tenant.default) == ("tenant", "str", tenant.empty)


@pytest.mark.promise("gate-tenant-is-always-named")
def test_an_append_is_of_one_tenant() -> None:
    with pytest.raises(TypeError, match="tenant"):
        Append(id="a")  # type: ignore[call-arg]  # that is the point
    assert isinstance(Append(id="a", tenant="acme").tenant, str)
