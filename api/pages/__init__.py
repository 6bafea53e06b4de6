"""Pages for people: rendered here, without a script. Who they are says a session's cookie; programs keep sending their key."""

from __future__ import annotations

SIGN_IN, SIGN_OUT, MONITORING = "/sign-in", "/sign-out", "/monitoring"
# Addresses that answer with pages, refusals included, where the caller takes HTML.
PATHS = frozenset({SIGN_IN, SIGN_OUT, MONITORING})
