"""Every exception of the platform.

::

    PropensityError
    ├── CampaignError            a declaration contradicts itself (a bug in a campaign file)
    ├── DataError                what was sent cannot be used (the sender can mend it)
    │   ├── Malformed            not readable as the format it claims to be
    │   ├── TooLarge             over a stated limit
    │   ├── UnsupportedMedia     a format that is not offered
    │   ├── NotAcceptable        a reply is asked for in a format that is not offered
    │   ├── RowsInvalid          readable, but no row can be used; says which and why
    │   ├── QualityGateFailed    a data set broke its declared quality gate
    │   ├── SourceMissing        a file, table or address that does not exist
    │   ├── ChecksumMismatch     a file is not the one that was declared
    │   ├── NotFound             an id or a campaign that is not known
    │   ├── Erased               what is asked for was erased
    │   ├── SuppressedSince      a stored reply names somebody who was suppressed since
    │   └── Idempotency*         a key reused: in flight, or with another body
    ├── AccessError              who asks, and what he may
    │   ├── Unauthorized         no key, or one that opens nothing
    │   ├── Forbidden            a good key whose role may not do this
    │   └── RateLimited          more requests than the key is good for
    ├── ModelError               no model can be used
    │   ├── NoLiveModel          nothing was promoted yet
    │   ├── ModelLoading         asked for, and not there yet
    │   ├── ModelDamaged         digest, schema or canary scores do not match
    │   ├── LeakSuspected        better than honest data allows
    │   ├── PromotionConflict    somebody else promoted first
    │   └── NothingToDecide      no model to go back to, or none that waits for approval
    ├── SettingsInvalid          an environment variable is missing or wrong
    ├── Overloaded               more requests wait than can be answered in time
    └── StoreError               S3, Postgres, MLflow, a program of the platform: the only branch worth retrying

Each class carries a stable ``code`` (for machines), an HTTP ``status`` and a process ``exit_code``.
Messages say what happened, which thing, and what is allowed. They never repeat a customer's values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class RowIssue:
    """One thing wrong with one row.

    Attributes
    ----------
    row : int
        Number of the row as its sender counts: 1 is the first row of a list or of a file's data.
    column : str or None
        The column concerned; None where the row as a whole is wrong.
    code : str
        Stable, for machines: ``missing``, ``not_a_number``, ``out_of_range``, ``unknown_category`` ...
    message : str
        What is allowed. Never holds the value that was sent.
    """

    row: int
    column: str | None
    code: str
    message: str

    def __str__(self) -> str:
        where = f"row {self.row}" + (f", {self.column}" if self.column else "")
        return f"{where}: {self.message}"


class PropensityError(Exception):
    """Root of all errors that the platform raises on purpose."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1


class CampaignError(PropensityError):
    """A campaign declaration contradicts itself."""

    code = "campaign_invalid"
    exit_code = 3


class SettingsInvalid(PropensityError):
    """A setting is missing or wrong."""

    code = "settings_invalid"
    exit_code = 3


class DataError(PropensityError):
    """What was sent cannot be used; the sender can mend it."""

    code = "data_invalid"
    status = 422
    exit_code = 2


class Malformed(DataError):
    """The bytes are not what their format says."""

    code = "malformed"
    status = 400


class TooLarge(DataError):
    """More than a stated limit."""

    code = "too_large"
    status = 413


class UnsupportedMedia(DataError):
    """A format that is not offered here."""

    code = "unsupported_media_type"
    status = 415


class NotAcceptable(DataError):
    """The reply is asked for in a format that is not offered."""

    code = "not_acceptable"
    status = 406


class _RowsError(DataError):
    """A data error that names rows; ``issues`` is sorted by row."""

    def __init__(self, message: str, issues: Sequence[RowIssue] = ()) -> None:
        super().__init__(message)
        self.issues: tuple[RowIssue, ...] = tuple(issues)


class RowsInvalid(_RowsError):
    """No row of the list can be used."""

    code = "rows_invalid"


class QualityGateFailed(_RowsError):
    """A data set broke the quality gate that its campaign declares."""

    code = "quality_gate_failed"


class SourceMissing(DataError):
    """A file, table, prefix or address that is not there."""

    code = "source_missing"
    status = 404


class ChecksumMismatch(DataError):
    """A file's content is not the one declared."""

    code = "checksum_mismatch"


class NotFound(DataError):
    """An id or a campaign that is not known."""

    code = "not_found"
    status = 404


class IdempotencyInFlight(DataError):
    """The same key is being worked on at this moment."""

    code = "idempotency_in_flight"
    status = 409


class IdempotencyMismatch(DataError):
    """The same key was used before with another body."""

    code = "idempotency_mismatch"
    status = 422


class SuppressedSince(DataError):
    """A stored reply names a customer who was suppressed since; it is not given out again."""

    code = "suppressed_since"
    status = 409


class Erased(DataError):
    """What is asked for was erased."""

    code = "erased"
    status = 410


class AccessError(PropensityError):
    """The caller may not do this."""

    code = "access_refused"
    status = 403
    exit_code = 6


class Unauthorized(AccessError):
    """No key came, or one that is unknown, expired or revoked."""

    code = "unauthorized"
    status = 401


class Forbidden(AccessError):
    """The key's role may not do this."""

    code = "forbidden"


class RateLimited(AccessError):
    """The key has used up its requests; ``retry_after_s`` whole seconds later there is one again."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelError(PropensityError):
    """No model can be used."""

    code = "model_unusable"
    status = 503
    exit_code = 4


class NoLiveModel(ModelError):
    """Nothing has been promoted for this campaign."""

    code = "no_live_model"


class ModelLoading(ModelError):
    """A model that is not the live one is being fetched and verified; trying again shortly helps."""

    code = "model_loading"


class ModelDamaged(ModelError):
    """A model package whose digest, schema or canary scores do not match its manifest."""

    code = "model_damaged"


class LeakSuspected(ModelError):
    """A model better than honest data allows: something known only later leaked into it."""

    code = "leak_suspected"
    status = 422


class PromotionConflict(ModelError):
    """Another promotion of the same campaign won the race."""

    code = "promotion_conflict"
    status = 409


class NothingToDecide(ModelError):
    """There is no model to go back to, or none that waits for approval."""

    code = "nothing_to_decide"
    status = 409


class Overloaded(PropensityError):
    """More requests wait than can be answered in time."""

    code = "overloaded"
    status = 503


class StoreError(PropensityError):
    """Object storage, Postgres or MLflow did not answer; trying again may help."""

    code = "store_unavailable"
    status = 503
    exit_code = 5


class ObjectStoreUnavailable(StoreError):
    """Object storage did not answer."""

    code = "object_store_unavailable"


class DatabaseUnavailable(StoreError):
    """Postgres did not answer or did not commit in time."""

    code = "database_unavailable"


class LockedTooLong(DatabaseUnavailable):
    """Another transaction held a row or key for longer than this one may wait; nothing was stored."""

    code = "database_busy"


class SuppressionsChanged(StoreError):
    """A suppression came while a request was worked on, again and again; nothing was answered."""

    code = "suppressions_changed"


class RegistryUnavailable(StoreError):
    """MLflow did not answer."""

    code = "registry_unavailable"


class ProgramFailed(StoreError):
    """A program of the platform ended or did not become ready; the message quotes the end of its log."""

    code = "program_failed"
