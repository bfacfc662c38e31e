"""PostgreSQL servers that we start ourselves, from bundled binaries.

A :class:`Cluster` is one folder on disk. Nothing here knows whose data it
holds or who shares it; that is the caller's business.
"""

from pgsteady.server.account import Account
from pgsteady.server.binaries import BUNDLED_MAJORS, Binaries, bundled, client
from pgsteady.server.cluster import SUPERUSER, Cluster
from pgsteady.server.private import private_server, url_of

__all__ = [
    "BUNDLED_MAJORS",
    "SUPERUSER",
    "Account",
    "Binaries",
    "Cluster",
    "bundled",
    "client",
    "private_server",
    "url_of",
]
