"""The campaign report as HTML: one document without scripts, or its inner part for a page that has a frame of its own."""

from propensity.report.page.document import Document, body, document, stylesheet

__all__ = ["Document", "body", "document", "stylesheet"]
