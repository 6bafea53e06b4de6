"""What an environment costs a month, estimated offline from its templates: ``python -m infra.cost --env dev``."""
