"""What each product wants besides OTLP itself: where it listens, how it is told whose spans these are and where to file
them. None of them needs a library of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from flyball.core import attributes as name
from flyball.core.telemetry import Preset


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _basic(key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}  # PUBLIC:SECRET (RFC 7617)


def _parent(project: str) -> dict[str, str]:
    return {"x-bt-parent": project if ":" in project else f"project_name:{project}"}


def _nowhere(_: str) -> dict[str, str]:
    return {}


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """One product: its own address (empty: it has none), the headers of a key and of a project, what it wants always,
    and the attribute of the resource that names the project, where that is how it is told."""

    url: str = ""
    key: Callable[[str], dict[str, str]] = _bearer
    project: Callable[[str], dict[str, str]] = _nowhere
    always: Mapping[str, str] = {}
    resource: str = ""


PRODUCTS: Final[Mapping[Preset, Product]] = {
    "plain": Product(url="http://127.0.0.1:4318"),
    "phoenix": Product(url="http://127.0.0.1:6006", resource=name.PROJECT),
    "langsmith": Product(
        url="https://api.smith.langchain.com/otel", key=lambda key: {"x-api-key": key},
        project=lambda project: {"Langsmith-Project": project},
    ),
    "langfuse": Product(
        url="https://cloud.langfuse.com/api/public/otel", key=_basic, always={"x-langfuse-ingestion-version": "4"},
    ),
    "braintrust": Product(url="https://api.braintrust.dev/otel", project=_parent),
    "portkey": Product(url="https://api.portkey.ai/v1/otel", key=lambda key: {"x-portkey-api-key": key}),
}  # fmt: skip
