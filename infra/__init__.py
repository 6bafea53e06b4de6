"""The platform on AWS, as CDK stacks. The command line starts `infra.app`."""
