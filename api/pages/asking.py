"""A page asks the interface, as a program of the same caller would: whatever holds there holds for people, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, current_app, g

from api import media


def ask(view: Callable[..., Response], method: str, address: str, body: Mapping[str, Any], *arguments: Any) -> Any:
    """What the view answers to this caller. Raises what it raises."""
    caller, request_id = g.caller, g.request_id
    with current_app.test_request_context(address, method=method, data=json.dumps(body), content_type=media.JSON):
        vars(g._get_current_object()).update(request_id=request_id, rows=None, caller=caller)
        return view(*arguments).get_json()
