"""What checkov and cfn-lint say of the templates: ``python -m infra.policy --env prod``. cdk-nag runs with every synthesis."""
