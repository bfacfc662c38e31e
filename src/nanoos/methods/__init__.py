"""How a number was calculated, and which numbers may be compared."""

from nanoos.methods.method import Method, Potential

__all__ = ["Method", "Potential"]
