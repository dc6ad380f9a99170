"""Fixtures that several tests of this folder use."""

from .shells import shell

__all__ = ["shell"]
