"""The embedded database: PostgreSQL with pgvector, shared by every process of one user.

A process joins, which starts the server when it is the first, and leaves when it
ends, which stops the server when it was the last. Whatever is killed at whatever
moment, the next process to join finds a working server and all committed data.
"""

from api.embedded.sharing import join, keep, leave, stop
from api.embedded.upgrade import ServerUpgrade, upgrade_server

__all__ = ["ServerUpgrade", "join", "keep", "leave", "stop", "upgrade_server"]
