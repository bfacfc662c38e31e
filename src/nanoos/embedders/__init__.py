"""Embedders: what turns a structure into a vector, so that near vectors are like structures."""

from nanoos.embedders.embedder import Embedded, Embedder

__all__ = ["Embedded", "Embedder"]
