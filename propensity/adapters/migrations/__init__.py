"""The tables of the platform, as Alembic revisions of explicit SQL."""
