"""The scoring service: HTTP around the domain. No campaign, model or policy logic lives here."""
