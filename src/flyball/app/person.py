"""The operating-system user as a principal, by user id: no variable of the environment says who somebody is."""

from __future__ import annotations

import os
import pwd

from flyball.core.identity import Principal


def os_user(tenant: str = "local", uid: int | None = None) -> Principal:
    """Who this process (or the process behind a socket, by its `uid`) runs as: may start runs, not approve."""
    number = os.geteuid() if uid is None else uid
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = f"uid-{number}"
    return Principal(f"user:{name}", tenant=tenant, issuer="os", assurance="os")
