"""Decide before anything fails: who stands on which reserve system, and who goes where first (`AllocationRunner`)."""

from pdnopt.allocation.runner import AllocationRunner

__all__ = ["AllocationRunner"]
