"""Prefect flows: ingest, train, promote, score. Each can be repeated; a store that does not answer is tried again, nothing else is."""
