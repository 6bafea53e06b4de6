"""The deployment rehearsed on this machine: the real CDK CLI against an AWS emulator, then the deployed system under real requests."""
