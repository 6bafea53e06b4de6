"""When two ids mean the same customer to whoever must leave him alone. Standard library only.

The log keeps ids as they were sent, and ``17`` and ``17.0`` are two. An objection must hold however another system writes the number:
spreadsheets drop leading zeros, tables with gaps make whole numbers 17.0, forms leave blanks, and letters come in either case. So
suppressions, contacts and control groups go by this key. The price is meant: who differs from a suppressed customer in nothing but that is
left alone, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# No id holds a control character, so that one may stand between them.
BETWEEN = "\x1f"
_NUMBER = re.compile(r"[+-]?(\d+)(?:\.(\d*))?(?:e([+-]\d{1,3}))?", re.ASCII)
_BEGINS_NUMBER = frozenset("0123456789+-")


def customer_keys(ids: Sequence[str]) -> list[str]:
    """The key of each id. Ids that were sent as a number, in other letters, with blanks around, or in full-width forms have the same."""
    joined = BETWEEN.join(ids)
    if not joined.isascii():
        joined = unicodedata.normalize("NFKC", joined)
    keys = joined.casefold().split(BETWEEN) if ids else []
    if not joined.isascii():
        # Folding may undo the composition.
        keys = unicodedata.normalize("NFKC", BETWEEN.join(keys)).split(BETWEEN)
    # Most ids are letters and digits, or whole numbers already in their shortest form.
    return [key if (key.isdecimal() and key[0] != "0") or (key.isalnum() and key[0] not in _BEGINS_NUMBER) else _key(key) for key in keys]


def customer_key(customer_id: str) -> str:
    """The key of one id."""
    return customer_keys([customer_id])[0]


def _key(folded: str) -> str:
    key = " ".join(folded.split()) or folded
    return _number(key) if key[0] in _BEGINS_NUMBER else key


def _number(key: str) -> str:
    """A whole number in its shortest form, whatever it was written like; any other text as it is."""
    found = _NUMBER.fullmatch(key)
    if found is None:
        return key
    whole, behind, exponent = found[1], found[2] or "", int(found[3] or 0)
    digits = whole + behind
    zeros = exponent - len(behind)
    if zeros < 0:
        if digits[zeros:].strip("0") or -zeros > len(digits):
            return key
        digits = digits[:zeros]
    else:
        digits += "0" * zeros
    sign = "-" if key[0] == "-" else ""
    digits = digits.lstrip("0")
    return sign + digits if digits else "0"
