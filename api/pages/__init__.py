"""Pages for people, rendered here; scripts only add comfort. Who they are says a session's cookie; programs keep sending their key."""

from __future__ import annotations

SIGN_IN, SIGN_OUT, MONITORING = "/sign-in", "/sign-out", "/monitoring"
LISTS, CUSTOMER, CAMPAIGNS, MODELS, ADMINISTRATION = "/lists", "/customer", "/campaigns", "/models", "/administration"
PREDICTIONS, SUPPRESSIONS = "/predictions", "/suppressions"
# Addresses that answer with pages, refusals included, where the caller takes HTML; and all below them.
ROOTS = (SIGN_IN, SIGN_OUT, MONITORING, LISTS, CUSTOMER, CAMPAIGNS, MODELS, ADMINISTRATION, PREDICTIONS, SUPPRESSIONS)


def is_page(path: str) -> bool:
    """Whether an address is that of a page."""
    return any(path == root or path.startswith(f"{root}/") for root in ROOTS)
