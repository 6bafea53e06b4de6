"""Constructs: what a part of the platform consists of on AWS."""
