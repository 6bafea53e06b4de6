"""What is understood of a list before it is scored: its separator, its encoding, which of its columns are which of the campaign's.

A file is never read by a name that is merely like another one. Likeness only makes a proposal, which a person accepts or changes; what was
agreed is written into the file's first line, and from there on the list is read as every other one.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from propensity.campaign import Campaign, Numeric
from propensity.csv_encoding import decode, encoding_of
from propensity.csv_text import DELIMITERS, first_line, split_line, without_statement
from propensity.errors import DataError, Malformed
from propensity.id_columns import date_name, id_name

SUBJECT = "the file"
SAMPLE_ROWS = 200
_CLOSE = 0.84
_WORD = re.compile(r"[a-z]+|\d+")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
# Words that say nothing about which column it is.
_EMPTY_WORDS = frozenset({"the", "of", "a", "customer", "client", "value", "current", "field", "name", "no", "number", "nr", "in"})
_ID_NAMES = frozenset({"id", "customerid", "customerno", "customernumber", "clientid", "customer", "client", "accountid", "contactid"})


@dataclass(frozen=True)
class Column:
    """A column of the file.

    Attributes
    ----------
    target : str
        The campaign's column that it is taken for; empty where it is not used.
    exact : bool
        Named alike. Where not, ``target`` is a proposal.
    why_not : str
        Why it is not used, where the campaign says so.
    sample : str
        Its first cell that is not empty.
    """

    name: str
    target: str
    exact: bool
    why_not: str
    sample: str


@dataclass(frozen=True)
class Understood:
    """What a file says of itself.

    Attributes
    ----------
    missing : tuple of str
        Columns of the campaign that no column of the file is taken for.
    decimal : str
        ``,`` where a number of the sample has a decimal comma, else ``.``
    rows : int
        Lines below the first that are not empty.
    """

    encoding: str
    marked: bool
    delimiter: str
    decimal: str
    rows: int
    columns: tuple[Column, ...]
    missing: tuple[str, ...]

    @property
    def sure(self) -> bool:
        """Whether nothing has to be asked: every column that is needed is named as declared."""
        return not self.missing and all(column.exact for column in self.columns if column.target)


def understand(campaign: Campaign, data: bytes) -> Understood:
    """Look at a CSV file. Raises Malformed where it cannot be read or its separator cannot be told, DataError where it holds no rows."""
    encoding, mark = encoding_of(data, SUBJECT)
    text, stated, _ = without_statement(decode(data, None, SUBJECT))
    if not text.strip("\r\n"):
        raise DataError(f"{SUBJECT} is empty")
    delimiter, names = _split(campaign, first_line(text), stated)
    cells = _sample(text, delimiter)
    if not cells:
        raise DataError(f"{SUBJECT} holds column names but no rows")
    targets = propose(campaign, names)
    columns = tuple(
        Column(
            name,
            target,
            target == name,
            "" if target else _why_not(campaign, name),
            next((row[at].strip() for row in cells if at < len(row) and row[at].strip()), ""),
        )
        for at, (name, target) in enumerate(zip(names, targets, strict=True))
    )
    found = {column.target for column in columns}
    missing = tuple(name for name in needed(campaign) if name not in found)
    rows = sum(1 for line in text.splitlines() if line.strip(delimiter + "\"' ")) - 1
    return Understood(encoding, mark > 0, delimiter, _decimal(campaign, columns, cells, delimiter), rows, columns, missing)


def needed(campaign: Campaign) -> tuple[str, ...]:
    """Columns without which a list cannot be scored."""
    own = (campaign.id_column,) if campaign.id_column else ()
    return (*own, *campaign.feature_names)


def taken(campaign: Campaign) -> tuple[str, ...]:
    """Columns that are looked at where a list has them."""
    names = (id_name(campaign), *campaign.feature_names, date_name(campaign))
    return tuple(dict.fromkeys(name for name in names if name))


def propose(campaign: Campaign, names: Sequence[str]) -> tuple[str, ...]:
    """For each name of a header the campaign's column that it is most likely; empty where there is none. None is given twice."""
    wanted = taken(campaign)
    found = {at: name for at, name in enumerate(names) if name in wanted}
    left = [name for name in wanted if name not in found.values()]
    known = {*campaign.excluded_reasons, campaign.label.column}
    asked = [(at, name) for at, name in enumerate(names) if at not in found and name not in known]
    scored = sorted((-_likeness(name, target, id_name(campaign)), at, target) for at, name in asked for target in left)
    for distance, at, target in scored:
        if distance <= -_CLOSE and at not in found and target not in found.values():
            found[at] = target
    return tuple(found.get(at, "") for at in range(len(names)))


def agreed(campaign: Campaign, data: bytes, names: Sequence[str], mapping: Mapping[int, str]) -> bytes:
    """The file with the campaign's names in its first line, as UTF-8; every other line as it was, so that rows keep their numbers.

    Parameters
    ----------
    names : sequence of str
        The header as `understand` read it.
    mapping : mapping of position to name
        What each column is taken for; positions that are left out keep their name, unless it would be taken for another column then.

    Raises
    ------
    DataError
        A column is still missing, or two are taken for one.
    """
    allowed, chosen = taken(campaign), [mapping.get(at, "") for at in range(len(names))]
    for target in chosen:
        if target and target not in allowed:
            raise DataError("a column can only be taken for one that the campaign declares")
    twice = sorted({target for target in chosen if target and chosen.count(target) > 1})
    if twice:
        raise DataError(f"two columns of the file are taken for {', '.join(map(repr, twice))}; choose one")
    lacking = [name for name in needed(campaign) if name not in chosen]
    if lacking:
        raise DataError(f"no column of the file is taken for {', '.join(map(repr, lacking))}")
    # A column that was put aside must not come back by its name.
    header = [target or (f"{name} (not used)" if name in allowed else name) for name, target in zip(names, chosen, strict=True)]
    text = decode(data, None, SUBJECT)
    below, stated, _ = without_statement(text)
    line = first_line(below)
    delimiter, _ = _split(campaign, line, stated)
    start = text.index(line, len(text) - len(below))
    width = len(split_line(line, delimiter, SUBJECT))
    sink = io.StringIO()
    csv.writer(sink, delimiter=delimiter, lineterminator="").writerow([*header, *[""] * (width - len(header))])
    return (text[:start] + sink.getvalue() + text[start + len(line) :]).encode("utf-8")


def _split(campaign: Campaign, line: str, stated: str | None) -> tuple[str, list[str]]:
    """The separator under which most names are, or are like, the campaign's; and those names."""
    found: dict[str, tuple[int, list[str]]] = {}
    for mark in [stated] if stated else DELIMITERS:
        names = [name.strip() for name in split_line(line, mark, SUBJECT if stated else "")]
        while names and not names[-1]:
            names.pop()
        found[mark] = (sum(map(bool, propose(campaign, names))), names)
    best = max(score for score, _ in found.values())
    fitting = [mark for mark, (score, _) in found.items() if score == best]
    if not best:
        some = ", ".join(needed(campaign)[:5])
        raise Malformed(f"{SUBJECT}: its first line must name the columns, among them {some}; no name in it is like one of these")
    if len({tuple(found[mark][1]) for mark in fitting}) > 1:
        raise Malformed(f"{SUBJECT}: its first line can be read with more than one separator; write sep=; above it, or the like")
    names = found[fitting[0]][1]
    if len(set(names)) != len(names):
        raise Malformed(f"{SUBJECT}: its first line names a column twice; each column needs a name of its own")
    return fitting[0], names


def _sample(text: str, delimiter: str) -> list[list[str]]:
    lines = (line for line in io.StringIO(text, newline="") if line.strip("\r\n"))
    next(lines, None)
    try:
        return [row for _, row in zip(range(SAMPLE_ROWS), csv.reader(lines, delimiter=delimiter), strict=False) if any(row)]
    except csv.Error as exc:
        raise Malformed(f"{SUBJECT}: the quoting is broken near its beginning") from exc


def _decimal(campaign: Campaign, columns: Sequence[Column], cells: Sequence[Sequence[str]], delimiter: str) -> str:
    numeric = {feature.name for feature in campaign.features if isinstance(feature, Numeric)}
    places = [at for at, column in enumerate(columns) if column.target in numeric]
    comma = any(_COMMA_NUMBER.fullmatch(row[at].strip()) for row in cells for at in places if at < len(row))
    return "," if comma and delimiter != "," else "."


def _why_not(campaign: Campaign, name: str) -> str:
    if name == campaign.label.column:
        return "known only afterwards"
    return campaign.excluded_reasons.get(name, "")


def _likeness(name: str, target: str, id_column: str | None) -> float:
    """From 0 to 1: 1 where both are the same words, 0.9 where one says more than the other, else how much of the letters agree."""
    mine, theirs = _words(name), _words(target)
    if not mine or not theirs:
        return 0.0
    one, other = "".join(mine), "".join(theirs)
    if one == other:
        return 1.0
    if target == id_column and one in _ID_NAMES:
        return 0.95
    if set(theirs) <= set(mine) or (set(mine) <= set(theirs) and len(theirs) - len(mine) <= 1 and len(mine) > 1):
        # "Job title" is job; "job" alone is not any column that has more to its name.
        return 0.9 - 0.01 * abs(len(mine) - len(theirs))
    return difflib.SequenceMatcher(None, one, other).ratio()


def _words(name: str) -> list[str]:
    spread = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    words = _WORD.findall(spread)
    return [word for word in words if word not in _EMPTY_WORDS] or words
