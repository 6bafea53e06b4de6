"""Where an alert's messages lead: the drift report, the alert itself, its line in the runbook, and how to acknowledge it."""

from __future__ import annotations

from propensity.adapters.presigned import Presigner
from propensity.alerting import StoredAlert
from propensity.errors import StoreError
from propensity.ports import ObjectStore
from propensity.settings import Settings

# As long as S3 lets an address live at most. It ends sooner with the credentials that signed it; each reminder brings a fresh one.
REPORT_EXPIRES_S = 7 * 86_400


class Links:
    """Makes the links of one installation.

    On S3 a report's link is a signed address, good for a week at most for whoever has the message; on one machine it is the file's.
    """

    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        self._settings = settings
        self._store = store

    def __call__(self, stored: StoredAlert) -> dict[str, str]:
        base, found = self._settings.alerts_base_url.rstrip("/"), {}
        if stored.alert.report_key:
            found["report"] = self._report(stored.alert.report_key)
        if base:
            found["alert"] = f"{base}/v1/alerts/{stored.alert_id}"
        by_api = f", or POST {base}/v1/alerts/{stored.alert_id}/acknowledgements" if base else ""
        found["acknowledge"] = f"propensity acknowledge {stored.alert_id}{by_api}"
        if self._settings.alerts_runbook_url:
            found["runbook"] = f"{self._settings.alerts_runbook_url}#{stored.alert.kind}"
        return found

    def _report(self, key: str) -> str:
        scheme, _, rest = self._settings.store_url.partition("://")
        if scheme != "s3":
            return self._store.uri(key)
        bucket, _, prefix = rest.partition("/")
        try:
            signer = Presigner(bucket, prefix.strip("/"), self._settings.s3_endpoint_url)
            return signer.download(key, name=key.rpartition("/")[2], media_type="text/html", expires_s=REPORT_EXPIRES_S)
        except StoreError:
            # Nobody to sign with: the message says where the report lies, and goes out.
            return self._store.uri(key)
