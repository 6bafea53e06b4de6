"""Stacks: they wire constructs together and decide nothing else."""
