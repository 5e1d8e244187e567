"""The names under which spans and metrics say things: every name that leaves stands here, and nowhere else.

`gen_ai.*` is of one version of OpenTelemetry's conventions (`SCHEMA_URL`), which are all still in development: when
they move, this file moves and nothing else does. Three names are of OpenInference, for tools that read those. What
neither has a word for is `flyball.*`.
"""

from __future__ import annotations

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"
SCOPE: Final = "flyball"

# OpenTelemetry -------------------------------------------------------------------------------------------------------
SERVICE_NAME: Final = "service.name"
ERROR_TYPE: Final = "error.type"
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_VERSION: Final = "gen_ai.agent.version"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
DATA_SOURCE: Final = "gen_ai.data_source.id"
TOKEN_MODALITY: Final = "gen_ai.token.modality"

# OpenInference -------------------------------------------------------------------------------------------------------
SPAN_KIND: Final = "openinference.span.kind"
INPUT: Final = "input.value"
OUTPUT: Final = "output.value"
PROJECT: Final = "openinference.project.name"

# Flyball -------------------------------------------------------------------------------------------------------------
TENANT: Final = "flyball.tenant"
RUN: Final = "flyball.run"
PATH: Final = "flyball.path"
ATTEMPT: Final = "flyball.attempt"
RECORD: Final = "flyball.record"
RELEASE: Final = "flyball.release"
PRINCIPAL: Final = "flyball.principal"
CHAIN: Final = "flyball.chain"
ACTION: Final = "flyball.action"
ACTION_KIND: Final = "flyball.action.kind"
EFFECT: Final = "flyball.effect"
DECISION: Final = "flyball.decision"
REASON: Final = "flyball.reason"
POLICIES: Final = "flyball.policies"
MODIFIERS: Final = "flyball.modifiers"
APPROVAL: Final = "flyball.approval"
GROUPS: Final = "flyball.approval.groups"
ANSWER: Final = "flyball.approval.answer"
ASSURANCE: Final = "flyball.approval.assurance"
STATUS: Final = "flyball.status"
CODE: Final = "flyball.code"
RESULT_INVALID: Final = "flyball.result_invalid"
COST: Final = "flyball.cost.usd"
STOP_REASON: Final = "flyball.stop_reason"
UNTIL: Final = "flyball.until"
WAITS: Final = "flyball.waits"
WAIT_KIND: Final = "flyball.wait.kind"
GUARD: Final = "flyball.guard"
GUARD_VERSION: Final = "flyball.guard.version"
GUARD_STAGE: Final = "flyball.guard.stage"
GUARD_VERDICT: Final = "flyball.guard.verdict"
GUARD_ENFORCED: Final = "flyball.guard.enforced"
GUARD_SCORE: Final = "flyball.guard.score"

# every one of them ---------------------------------------------------------------------------------------------------
ATTRIBUTES: Final[frozenset[str]] = frozenset(
    value for name, value in vars().copy().items()
    if name.isupper() and isinstance(value, str) and "." in value and ":" not in value
)  # fmt: skip

# what is measured ----------------------------------------------------------------------------------------------------
# Metric -> (unit, what it says). Durations are histograms, `flyball.waiting` goes up and down, the others only up.
METRICS: Final[dict[str, tuple[str, str]]] = {
    "gen_ai.client.operation.duration": ("s", "How long calls of models took."),
    "gen_ai.execute_tool.duration": ("s", "How long calls of tools took."),
    "gen_ai.invoke_agent.duration": ("s", "How long agents worked, waiting included."),
    "gen_ai.workflow.duration": ("s", "How long flows worked, waiting included."),
    "gen_ai.client.inference.usage.input_tokens": ("{token}", "Tokens that models read."),
    "gen_ai.client.inference.usage.output_tokens": ("{token}", "Tokens that models wrote."),
    "flyball.decisions": ("{decision}", "Verdicts, by outcome and reason."),
    "flyball.cost": ("USD", "What attempts cost."),
    "flyball.waiting": ("{question}", "What waits for people now: approvals, questions, unknown outcomes."),
}
# What operations are called, which kind of span they are, and where their duration is measured.
OPERATIONS: Final[dict[str, tuple[str, str, str]]] = {
    "tool": ("execute_tool", "TOOL", "gen_ai.execute_tool.duration"),
    "model": ("chat", "LLM", "gen_ai.client.operation.duration"),
    "agent": ("invoke_agent", "AGENT", "gen_ai.invoke_agent.duration"),
    "handoff": ("invoke_agent", "AGENT", "gen_ai.invoke_agent.duration"),
    "flow": ("invoke_workflow", "CHAIN", "gen_ai.workflow.duration"),
    "context": ("retrieval", "RETRIEVER", ""),
    "recall": ("search_memory", "RETRIEVER", ""),
    "remember": ("create_memory", "CHAIN", ""),
    "forget": ("delete_memory", "CHAIN", ""),
}
