"""The whole HTTP contract as OpenAPI 3.1, derived from the campaign declarations, the limits and the error classes."""

from api.openapi.document import CONTRACT_VERSION, openapi

__all__ = ["CONTRACT_VERSION", "openapi"]
