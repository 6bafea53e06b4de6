"""The Postgres behind RDS: a server with nothing in it. What a first deployment needs, the deployment itself must make."""

from __future__ import annotations

from local.postgres import SUPERUSER, EmbeddedPostgres


class EmptyPostgres(EmbeddedPostgres):
    """A server as RDS gives it: no roles and no databases of the platform."""

    @property
    def superuser_url(self) -> str:
        """For what only RDS itself does."""
        return self._url(SUPERUSER, "postgres")

    def _ensure_databases(self) -> None:
        """Left to the migration task."""
