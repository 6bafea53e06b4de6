"""What runs inside the emulator's own process: resource types that it lacks, containers as processes, names within the network.

Runs with the emulator's Python, not with the project's: it imports the standard library and the emulator alone. The emulator has no
interface for any of this, so its version is pinned.
"""
