"""Plugs: the only place that knows adapters by name. To add one: a file, a line here, a conformance suite.

Adapters are imported when they are first needed, so that `import flyball` and the command line start at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

# One line per adapter: what it is called in a configuration, and where it lives.
ADAPTERS: Mapping[str, str] = {
    "config": "flyball.adapters.config_toml",
    "journal.sqlite": "flyball.adapters.journal_sqlite.journal:SqliteJournal",
    "journal.reader": "flyball.adapters.journal_sqlite.journal:open_reader",
    "journal.library": "flyball.adapters.journal_sqlite.library",
    "journal.memory": "flyball.adapters.journal_memory:MemoryJournal",
    "embedding.openai": "flyball.adapters.embedding_openai:OpenAIEmbedding",
    "memory.sqlite": "flyball.adapters.memory_sqlite.index:SqliteMemory",
    "memory.twin": "flyball.adapters.memory_twin:MemoryTwin",
    "keyring.sqlite": "flyball.adapters.keyring_sqlite:open_keyring",
    "keyring.memory": "flyball.adapters.keyring_memory:MemoryKeyring",
    "keyring.root": "flyball.adapters.root_key:root_key",
    "signer.file": "flyball.adapters.signer_file:open_signer",
    "signer.memory": "flyball.adapters.signer_memory:MemorySigner",
    "policy.cedar": "flyball.adapters.policy_cedar.engine:CedarEngine",
    "policy.starter": "flyball.adapters.policy_starter:starter",
    "policy.draft": "flyball.adapters.policy_cedar.draft:draft",
    "policy.texts": "flyball.adapters.policy_cedar.texts:texts",
    "model.openai": "flyball.adapters.model_http.models:OpenAIModel",
    "model.anthropic": "flyball.adapters.model_http.models:AnthropicModel",
    "model.gemini": "flyball.adapters.model_http.models:GeminiModel",
    "model.http": "flyball.adapters.model_http.client:HttpModel",
    "model.key": "flyball.adapters.model_http.key:read_key",
    "model.scripted": "flyball.adapters.model_scripted:ScriptedModel",
    "model.script": "flyball.adapters.model_scripted:load_script",
    "guard.pack": "flyball.adapters.guard_pack.pack:open_pack",
    "guard.lakera": "flyball.adapters.guard_http.lakera:open_lakera",
    "guard.llama_guard": "flyball.adapters.guard_http.llama:open_llama_guard",
    "guard.presidio": "flyball.adapters.guard_presidio:open_presidio",
    "guard.guardrails": "flyball.adapters.guard_guardrails:open_guardrails",
    "guard.nemo": "flyball.adapters.guard_nemo:open_nemo",
    "telemetry.otlp": "flyball.adapters.otlp.exporter:OtlpExporter",
    "telemetry.cursors": "flyball.adapters.cursor_file:CursorFiles",
    "sandbox.process": "flyball.adapters.sandbox_process.sandbox:ProcessSandbox",
    "prices": "flyball.adapters.prices.load:load_prices",
    "clock": "flyball.adapters.clock_system:SystemClock",
    "entropy": "flyball.adapters.clock_system:SystemEntropy",
    "keyfile": "flyball.adapters.keyfile",
}


def adapter(name: str) -> Any:
    """The adapter of this name, imported now."""
    module, _, attribute = ADAPTERS[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found
