"""Who is asking: the person whose enrolled key signed the request, else the operating-system user behind the socket.

Rules:

* A signed request names this tenant, this log and this session of the owner: none of another project, owner or time
  passes for it. It is fresh for a minute, and its nonce is taken once.
* The socket belongs to one user. What another user sends is refused, whatever it is signed with.
* There is no name in a request. A key is the person that it was enrolled for.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flyball.app.control.office import Office
from flyball.app.control.wire import BOUND, Asked
from flyball.app.person import os_user
from flyball.core.credential import FRESH_US, SignedRequest, verify_request
from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import KeyRow

MOST_NONCES: Final = 100_000


class Caller(NamedTuple):
    """Somebody who asks, with the key that signed (empty: none), and what they ask."""

    by: Principal
    key: str
    command: str
    arguments: Mapping[str, Any]


class Callers:
    """Tells who asks, and remembers what was asked."""

    def __init__(self, office: Office, session: str) -> None:
        self._office, self._session = office, session
        self._seen: dict[str, int] = {}

    def who(self, asked: Asked, uid: int) -> Caller:
        """The caller; raises FlyballError `request_refused`, `request_stale` or `auth_failed`."""
        if uid != os.geteuid():
            raise FlyballError("request_refused", "this project belongs to another user", f"user id {uid} asked")
        if asked.signed is not None:
            return self._signed(asked.signed)
        arguments = dict(asked.arguments)
        tenant = str(arguments.pop("tenant", "local"))
        return Caller(os_user(tenant, uid), "", asked.command, arguments)

    def _signed(self, request: SignedRequest) -> Caller:
        tenant = str(request.arguments.get("tenant", ""))
        view = self._office.rooms.ports.journal.view(tenant)
        log, _ = view.tree()
        meant = {"log": log, "session": self._session, "tenant": tenant}
        wrong = [name for name in BOUND if request.arguments.get(name) != meant[name]]
        if wrong:
            raise FlyballError("request_refused", "the request is meant for somebody else", f"{wrong[0]} differs")
        by = self._office.keys.principal(request.key, tenant=tenant)
        row = view.row(KeyRow, request.key)
        assert row is not None  # the directory has just named its person
        now = self._office.rooms.ports.clock.now()
        verify_request(request, base64.b64decode(row.public), now_us=now)
        self._once(request.nonce, now)
        arguments = {name: value for name, value in request.arguments.items() if name not in BOUND}
        return Caller(by, request.key, request.command, arguments)

    def _once(self, nonce: str, now: int) -> None:
        """Takes a nonce; those that are too old to be fresh are forgotten."""
        if nonce in self._seen:
            raise FlyballError("request_refused", "the request is refused", "it was sent before", "Ask again.")
        old = [known for known, at in self._seen.items() if now - at > 2 * FRESH_US]
        for known in old:
            del self._seen[known]
        if len(self._seen) >= MOST_NONCES:
            raise FlyballError("owner_busy", "too many requests in a minute", fix="Ask again later.")
        self._seen[nonce] = now
