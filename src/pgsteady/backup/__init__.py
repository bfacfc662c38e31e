"""A whole database into a file and back, and backups that are proved before they count."""

from pgsteady.backup.copies import restored
from pgsteady.backup.files import FORMATS, client_for, dump, environment, load
from pgsteady.backup.making import back_up, proved
from pgsteady.backup.manifest import Manifest, Proof
from pgsteady.backup.store import Backup, backup_folder, backups, remove_unfinished

__all__ = [
    "FORMATS",
    "Backup",
    "Manifest",
    "Proof",
    "back_up",
    "backup_folder",
    "backups",
    "client_for",
    "dump",
    "environment",
    "load",
    "proved",
    "remove_unfinished",
    "restored",
]
