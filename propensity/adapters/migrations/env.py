"""Run by Alembic, which loads this file by its path: applies the revisions on the connection that `propensity.adapters.migrate` made."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
with context.begin_transaction():
    context.run_migrations()
