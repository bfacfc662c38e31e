"""PostgreSQL servers that we start ourselves, from bundled binaries.

A :class:`Cluster` is one folder on disk. Nothing here knows whose data it
holds or who shares it; that is the caller's business.
"""

from pgsteady.server.account import Account
from pgsteady.server.binaries import BUNDLED_MAJORS, Binaries, bundled, client
from pgsteady.server.cluster import Cluster

__all__ = ["BUNDLED_MAJORS", "Account", "Binaries", "Cluster", "bundled", "client"]
