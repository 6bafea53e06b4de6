"""Revisions, oldest first: never edited once released; a change is a new file."""
