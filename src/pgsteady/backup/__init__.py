"""A whole database into a file and back, and backups that are proved before they count."""

from pgsteady.backup.copies import restored
from pgsteady.backup.databases import remove_left_behind
from pgsteady.backup.dumping import Form
from pgsteady.backup.files import FORMATS, client_for, dump, environment, load
from pgsteady.backup.making import back_up, prove, proved
from pgsteady.backup.manifest import Manifest, Proof
from pgsteady.backup.recovery import Recovered, place_of, recover
from pgsteady.backup.retention import Retention, of_database
from pgsteady.backup.store import Backup, backup_folder, backups, remove, remove_unfinished

__all__ = [
    "FORMATS",
    "Backup",
    "Form",
    "Manifest",
    "Proof",
    "Recovered",
    "Retention",
    "back_up",
    "backup_folder",
    "backups",
    "client_for",
    "dump",
    "environment",
    "load",
    "of_database",
    "place_of",
    "prove",
    "proved",
    "recover",
    "remove",
    "remove_left_behind",
    "remove_unfinished",
    "restored",
]
