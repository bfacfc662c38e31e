"""A whole database into a file and back, and backups that are proved before they count."""

from pgsteady.backup.files import FORMATS, client_for, dump, environment, load

__all__ = ["FORMATS", "client_for", "dump", "environment", "load"]
