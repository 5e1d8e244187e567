"""Artifacts: files as content-addressed values. What travels in arguments, records and approvals is the value; the
bytes are sealed in the log and fetched by it.

Rules:

* The digest is keyed by the tenant: the same file has another one in another tenant, and nobody who has a file can
  find out whether a tenant has it, too.
* A value counts only as it was put: digest, name, type, size, sensitivity and origin together. One that was made up, or
  renamed, is unknown.
* Of an argument that is an artifact the origin is that of its digest, which stands for the bytes.

>>> made = Artifact(digest="ab", name="offer.pdf", media_type="application/pdf", size=3)
>>> list(held({"file": {"digest": "ab"}}, "/file/digest")), without({"file": {"digest": "ab"}}, "/file/digest")
([{'digest': 'ab'}], {'file': 'ab'})
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Mapping
from typing import Annotated, Any, Final, Protocol

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.marks import Mark

MAX_NAME: Final = 255
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file by what is in it. `size` in bytes; `origin` is `request` where its principal handed it in, else the tool
    that made it."""

    digest: Annotated[str, Mark("artifact")]
    name: str
    media_type: str
    size: int
    sensitivity: str = "internal"
    origin: str = "request"

    @property
    def kind(self) -> str:
        """The part of its type before the slash, such as `image`."""
        return self.media_type.partition("/")[0]


class Shelf(Protocol):
    """Where a call puts and gets artifacts: those of its tenant that are about its run's subject."""

    def put(self, data: bytes, /, *, name: str, media_type: str, sensitivity: str = "internal") -> Awaitable[Artifact]:
        """Keeps these bytes, sealed; durable when it returns. The same bytes again are the same artifact."""
        ...

    def get(self, artifact: Artifact, /) -> Awaitable[bytes]:
        """The bytes; raises FlyballError `unknown_artifact`, `subject_erased`."""
        ...


def check_named(name: str, media_type: str) -> None:
    """Refuses (FlyballError `bad_artifact`) names that could mislead, and what is no media type (RFC 6838)."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip() or {"/", "\\"} & {*name}:
        why = f"a name has 1 to {MAX_NAME} printable characters, no slash and no blank at an end"
        raise FlyballError("bad_artifact", f"name={name[:300]!r}", why, 'name="offer.pdf"')
    if not _TYPE.fullmatch(media_type):
        raise FlyballError(
            "bad_artifact", f"media_type={media_type[:300]!r}", "this is no media type", '"application/pdf"'
        )


def held(value: Any, pointer: str) -> Iterator[Mapping[str, Any]]:
    """The artifacts in plain data at a pointer to their digests (`*` for items of a list)."""
    yield from _held(value, pointer.split("/")[1:])


def _held(value: Any, parts: list[str]) -> Iterator[Mapping[str, Any]]:
    if parts[0] == "*" and isinstance(value, (list, tuple)):
        for item in value:
            yield from _held(item, parts[1:])
    elif isinstance(value, Mapping) and len(parts) == 1:
        yield value
    elif isinstance(value, Mapping) and parts[0] in value:
        yield from _held(value[parts[0]], parts[1:])


def without(value: Any, pointer: str) -> Any:
    """The data with the digest in the place of each artifact at a pointer."""
    return _without(value, pointer.split("/")[1:])


def _without(value: Any, parts: list[str]) -> Any:
    if parts[0] == "*" and isinstance(value, (list, tuple)):
        return [_without(item, parts[1:]) for item in value]
    if not isinstance(value, Mapping) or parts[0] not in value:
        return value
    return value[parts[0]] if len(parts) == 1 else {**value, parts[0]: _without(value[parts[0]], parts[1:])}
