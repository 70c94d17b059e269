"""The CPU engine that stores and computes only the active weights."""
