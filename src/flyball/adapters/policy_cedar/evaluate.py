"""The one place where Cedar is asked. Everything that is not a clean allow is a refusal.

Cedar skips a policy that errors and may then allow; it answers NoDecision for a request that it cannot build. Both are
errors here, and an answer with errors never allows.
"""

from __future__ import annotations

import cedarpy

from flyball.core.policy import Answer, Uid


def evaluate(
    policies: cedarpy.PolicySet,
    schema: cedarpy.Schema,
    entities: cedarpy.Entities,
    who: tuple[Uid, Uid, Uid],
    context: str,
) -> Answer:
    """What these policies say of `who` (principal, action, resource) in `context` (JSON), under the schema."""
    principal, action, resource = ({"type": uid.type, "id": uid.id} for uid in who)
    request = {"principal": principal, "action": action, "resource": resource, "context": context}
    try:
        result = cedarpy.is_authorized(request, policies, entities, schema)
    except (ValueError, TypeError) as bad:
        return Answer(allow=False, errors=(f"request_invalid: {bad}",))
    errors = tuple(sorted(result.diagnostics.errors))
    if result.decision is cedarpy.Decision.NoDecision:
        errors = tuple(f"request_invalid: {e}" for e in errors) or ("no_decision",)
    determining = tuple(sorted(result.diagnostics.reasons))
    return Answer(allow=result.allowed and not errors, determining=determining, errors=errors)
