"""Who a text addresses, as sets that policy can compare: a pattern like `"*@acme.com"` also matches two recipients.

Rules:

* An address list is split at commas and semicolons outside quotes; each part is `user@host` or `Name <user@host>`.
* Quoted local parts, comments, groups, control characters: not understood, hence not an address list at all.
* Addresses and hosts are in lower case, hosts in their ASCII form (RFC 5890).

>>> sorted(addresses("Ada <Ada@Acme.example>, bob@evil.example"))
['ada@acme.example', 'bob@evil.example']
>>> host("https://Acme.example:8443/x")
'acme.example'
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS: Final = re.compile(rf"({_LOCAL})@([^\s@<>,;\"()\[\]\\:]+)")
_NAMED: Final = re.compile(rf"(?:\"[^\"\\]*\"|[^\"<>@()\\:]*)\s*<({_LOCAL})@([^\s@<>,;\"()\[\]\\:]+)>")
_PARTS: Final = re.compile(r"((?:\"[^\"]*\"|[^\",;])*)(?:[,;]|$)")
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ADDRESS_V6: Final = re.compile(r"[0-9a-f:.]+")


def addresses(text: str) -> frozenset[str] | None:
    """The addresses of an address list, or None where the text is not one."""
    if not text.isprintable() or text.count('"') % 2:
        return None
    parts = [part.strip() for part in _PARTS.findall(text)]
    found = [_address(part) for part in parts if part]
    if not found or None in found:
        return None
    return frozenset(a for a in found if a)


def domains(found: frozenset[str]) -> frozenset[str]:
    """The hosts of addresses."""
    return frozenset(address.rpartition("@")[2] for address in found)


def host(url: str) -> str | None:
    """The host that a URL points to, or None where readers could disagree about it."""
    if not url.isprintable() or any(char in url for char in " \\"):
        return None
    try:
        parts = urlsplit(url)
        name = parts.hostname
    except ValueError:
        return None
    if not parts.scheme or not name or "@" in parts.netloc:
        return None
    if "[" in parts.netloc or ":" in name:
        return name if ":" in name and _ADDRESS_V6.fullmatch(name) else None
    return _ascii(name)


def _address(part: str) -> str | None:
    match = _ADDRESS.fullmatch(part) or _NAMED.fullmatch(part)
    name = _ascii(match[2]) if match else None
    return f"{match[1].lower()}@{name}" if match and name else None


def _ascii(name: str) -> str | None:
    try:
        plain = name.removesuffix(".").encode("idna").decode().lower()
    except UnicodeError:
        return None
    return plain if _HOST.fullmatch(plain) else None
