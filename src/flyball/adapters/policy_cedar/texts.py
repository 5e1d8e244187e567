"""A bundle's policies as people read them: Cedar's own writing, made from the form that the log keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress

import cedarpy

from flyball.adapters.policy_cedar.bundles import opened
from flyball.core.policy import Bundle

# Cedar writes every member access in brackets of its own. Text, and the brackets of a call, are left alone.
_ACCESS = re.compile(r'"(?:[^"\\]|\\.)*"|(?<!\w)\((\w+(?:\.\w+)*)\)')


def texts(bundle: Bundle) -> Mapping[str, str]:
    """The text of every policy by its id; raises PolicyError where the bundle is not what its digest says."""
    _, policies, _ = opened(bundle)
    return {policy.id: _written(policy.est) for policy in policies}


def _written(est: object) -> str:
    whole = {"staticPolicies": {"policy0": est}, "templates": {}, "templateLinks": []}
    text = str(cedarpy.policies_from_json_str(json.dumps(whole)))
    before = ""
    while before != text:
        before, text = text, _ACCESS.sub(lambda found: found[1] or found[0], text)
    with suppress(ValueError):  # what cannot be laid out is shown as it is
        text = str(cedarpy.format_policies(text, 100, 2))
    return text.strip()
