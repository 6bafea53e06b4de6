"""The calls: what is asked of the service, in how many requests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from propensity.client.failures import NoRowUsable, NotSendable, PolicyNeedsOneRequest, ServiceError
from propensity.client.results import PredictedRows, Predictions, RequestInfo, as_frames, joined
from propensity.client.transport import Reply, Transport
from propensity.client.values import Rows, rows_of

if TYPE_CHECKING:
    import pandas as pd

# What the service takes in one request.
MAX_ROWS = 10_000
CHUNK_ROWS = 5_000
TIMEOUT_S, DEADLINE_S = 30.0, 300.0
CONNECTIONS = 8
# These compare the rows of one request with each other.
LIST_RELATIVE = ("top_share", "budget", "calls", "recall")
MAX_CALL_ID = 150


class Client:
    """A scoring service at an address, for one API key. May be shared by threads; keeps its connections until `close`.

    Parameters
    ----------
    base_url : str
        As ``http://127.0.0.1:8700``. Redirects are not followed: the key goes nowhere else. The environment's proxy variables do not count.
    key : str, optional
        API key, ``prop_...``; None for a service that asks for none.
    timeout_s : float
        For connecting, and for each wait for the next bytes of a reply; then the request is sent again.
    deadline_s : float
        For a whole call with all its requests and attempts, where the call itself says nothing.
    pool : urllib3.PoolManager, optional
        For an own certificate authority, client certificates or a proxy (`urllib3.ProxyManager`).

    Raises
    ------
    NotSendable
        The address or the key cannot be one.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        pool: urllib3.PoolManager | None = None,
    ) -> None:
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.query or address.fragment:
            raise NotSendable("the service's address cannot be used; it looks like http://127.0.0.1:8700", code="bad_address")
        if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            raise NotSendable("the API key must be printable ASCII without spaces: is it whole, and without a line break?", code="bad_key")
        headers = {"User-Agent": "propensity-client"} | ({"Authorization": f"Bearer {key}"} if key is not None else {})
        self._base_url = base_url.rstrip("/")
        self._deadline_s = deadline_s
        self._pool = pool or urllib3.PoolManager(maxsize=CONNECTIONS)
        self._transport = Transport(self._base_url, headers, timeout_s, self._pool)

    def __repr__(self) -> str:
        return f"Client({self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def predict(
        self,
        campaign: str,
        rows: Rows | pd.DataFrame,
        *,
        policy: Mapping[str, Any] | None = None,
        reasons: int | None = None,
        model: str | None = None,
        chunk_rows: int = CHUNK_ROWS,
        call_id: str | None = None,
        deadline_s: float | None = None,
    ) -> Predictions:
        """Score customers; the result holds pandas DataFrames. See `predict_rows` for the parameters.

        Raises
        ------
        ModuleNotFoundError
            pandas is not installed; nothing was sent. `predict_rows` does without it.
        """
        try:
            import pandas  # noqa: F401
        except ModuleNotFoundError as exc:
            raise ModuleNotFoundError(
                "predict gives pandas DataFrames, and pandas is not installed: use predict_rows", name="pandas"
            ) from exc
        return as_frames(
            self.predict_rows(
                campaign,
                rows,
                policy=policy,
                reasons=reasons,
                model=model,
                chunk_rows=chunk_rows,
                call_id=call_id,
                deadline_s=deadline_s,
            )
        )

    def predict_rows(
        self,
        campaign: str,
        rows: Rows | pd.DataFrame,
        *,
        policy: Mapping[str, Any] | None = None,
        reasons: int | None = None,
        model: str | None = None,
        chunk_rows: int = CHUNK_ROWS,
        call_id: str | None = None,
        deadline_s: float | None = None,
    ) -> PredictedRows:
        """Score customers, a request for each ``chunk_rows`` of them.

        A policy that compares the rows of one list (`LIST_RELATIVE`) is never split: up to 10,000 rows go as one request whatever
        ``chunk_rows`` says, and more are refused. Choosing among the scores here instead would leave other decisions in the service's log
        than those that were used. The campaign's own policy may be such a one; it is looked up where the list is long.

        Parameters
        ----------
        rows : list of dict, or DataFrame
            NaN and None become null. Each row holds the customer's id and the campaign's features.
        policy : mapping, optional
            As ``{"kind": "threshold", "value": 0.3}``; the campaign's own by default.
        reasons : int, optional
            Reasons for each score; the service's default by default.
        model : str, optional
            ``champion``, ``previous``, ``challenger``, or a version or digest; the champion by default.
        call_id : str, optional
            What the idempotency keys are derived from; random by default. A call that was broken off can be made again with the same id,
            rows and options: what was answered before is answered the same way and not scored or logged again.

        Raises
        ------
        ServiceError
            Of any kind; its ``call_id`` is the one to repeat the call with. Requests that were answered before it stay logged.
        """
        if policy is not None and not isinstance(policy, Mapping):
            raise NotSendable('policy must look like {"kind": "threshold", "value": 0.3}')
        plain = rows_of(rows)
        options = {name: value for name, value in (("policy", policy), ("reasons", reasons), ("model", model)) if value is not None}
        deadline = self._until(deadline_s)
        size = self._chunk(campaign, len(plain), chunk_rows, policy, deadline)
        base = _call_id(call_id)
        try:
            return self._predict(f"/v1/campaigns/{_segment(campaign)}/predictions", plain, options, size, base, deadline)
        except ServiceError as exc:
            exc.call_id = base
            raise

    def _predict(
        self, path: str, rows: list[dict[str, Any]], options: Mapping[str, Any], size: int, base: str, deadline: float
    ) -> PredictedRows:
        """One request after the other. One whose rows were all refused does not end the call, unless it is so with every one."""
        parts: list[tuple[int, Mapping[str, Any]]] = []
        requests: list[RequestInfo] = []
        refusal: NoRowUsable | None = None
        for number, before in enumerate(range(0, max(len(rows), 1), size)):
            chunk, key = rows[before : before + size], f"{base}-{number}"
            try:
                reply = self._post(path, {"customers": chunk, **options}, deadline, key)
            except NoRowUsable as exc:
                refusal = exc
                parts.append((before, {"errors": exc.errors, "errors_total": exc.errors_total}))
                requests.append(RequestInfo(None, key, before + 1, len(chunk), 0, len(chunk), 0, {}, {}, exc.attempts, False))
            else:
                parts.append((before, reply.body))
                requests.append(_info(reply, key, before, len(chunk)))
        found = joined(parts, requests)
        if refusal is None or found.predictions:
            return found
        raise NoRowUsable(
            refusal.detail if len(parts) == 1 else f"none of the {len(rows):,} rows can be used; errors says why, row by row",
            code=refusal.code,
            status=refusal.status,
            request_id=refusal.request_id,
            errors=found.errors,
            errors_total=found.errors_total,
        )

    def outcomes(self, campaign: str, outcomes: Sequence[Mapping[str, Any]], *, deadline_s: float | None = None) -> dict[str, Any]:
        """Record what happened later; returns ``counts``, ``results`` (a status per row) and ``errors`` as the service gives them.

        At most 10,000 at a time. Each names a ``prediction_id`` or a ``customer_id``, a ``label`` and, as days or RFC 3339 texts with
        an offset, ``observed_at`` and ``contacted_at``; ``correction`` takes back what was told before. A request that is sent
        again after a lost reply records nothing twice, but then counts what it finds as ``duplicate``.
        """
        path = f"/v1/campaigns/{_segment(campaign)}/outcomes"
        return dict(self._post(path, {"outcomes": rows_of(outcomes)}, self._until(deadline_s), None).body)

    def outcome_summary(
        self, campaign: str, *, since: str | None = None, until: str | None = None, deadline_s: float | None = None
    ) -> dict[str, Any]:
        """Outcomes by status, per cohort and per day of arrival, and how much is known of mature cohorts; days as ``2026-01-31``."""
        asked = urlencode({name: day for name, day in (("since", since), ("until", until)) if day is not None})
        path = f"/v1/campaigns/{_segment(campaign)}/outcomes"
        return dict(self._get(f"{path}?{asked}" if asked else path, self._until(deadline_s)))

    def campaigns(self, *, deadline_s: float | None = None) -> list[dict[str, Any]]:
        """Every campaign with its live model."""
        return list(self._get("/v1/campaigns", self._until(deadline_s))["campaigns"])

    def campaign(self, name: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """One campaign in full: its features, what they allow, its policy. Raises NotThere."""
        return dict(self._get(f"/v1/campaigns/{_segment(name)}", self._until(deadline_s)))

    def prediction(self, prediction_id: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """The record of one prediction: what was sent, what was answered, why, and by which model. Raises NotThere."""
        return dict(self._get(f"/v1/predictions/{_segment(prediction_id)}", self._until(deadline_s)))

    def _chunk(self, campaign: str, n: int, chunk_rows: int, policy: Mapping[str, Any] | None, deadline: float) -> int:
        """Rows of one request. Raises PolicyNeedsOneRequest."""
        if not 1 <= chunk_rows <= MAX_ROWS:
            raise NotSendable(f"chunk_rows must lie between 1 and {MAX_ROWS:,}")
        if n <= chunk_rows:
            return chunk_rows
        own = policy is None
        wanted = self._get(f"/v1/campaigns/{_segment(campaign)}", deadline)["policy"] if policy is None else policy
        if wanted.get("kind") not in LIST_RELATIVE:
            return chunk_rows
        if n <= MAX_ROWS:
            return MAX_ROWS
        raise PolicyNeedsOneRequest(
            f"the policy {wanted['kind']}{' of the campaign' if own else ''} compares the rows of one list, and {n:,} rows do not fit into "
            f"one request of at most {MAX_ROWS:,}: name a policy that decides each row by itself (profit, threshold), or score a file"
        )

    def _until(self, deadline_s: float | None) -> float:
        return self._transport.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)

    def _get(self, path: str, deadline: float) -> Any:
        return self._transport.call("GET", path, deadline=deadline).body

    def _post(self, path: str, value: Mapping[str, Any], deadline: float, key: str | None) -> Reply:
        try:
            body = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as exc:
            raise NotSendable("an option or a text cannot be written as JSON") from exc
        return self._transport.call("POST", path, deadline=deadline, body=body, key=key)


def _info(reply: Reply, key: str, before: int, rows: int) -> RequestInfo:
    body, counts = reply.body, reply.body["counts"]
    made = (counts["scored"], counts["refused"], counts["contact"], body["model"], body["policy"])
    return RequestInfo(body["request_id"], key, before + 1, rows, *made, reply.attempts, reply.replayed)


def _segment(name: str) -> str:
    """A name as one segment of an address. Raises NotSendable for what cannot be one."""
    if name in ("", ".", ".."):
        raise NotSendable("a campaign's or prediction's name must not be empty")
    return quote(name, safe="")


def _call_id(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not (0 < len(given) <= MAX_CALL_ID and given.isascii() and given.isprintable()):
        raise NotSendable(f"call_id must be 1 to {MAX_CALL_ID} printable ASCII characters")
    return given
