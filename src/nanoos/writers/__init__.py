"""From structures to files: CIF, POSCAR, extended XYZ, and tables of all that is known.

Numbers have as many digits as it takes to read back the same float (at most 17). What is
written reads back as the same structure (the same fingerprint).
"""

from nanoos.writers.files import beside, exporting
from nanoos.writers.record import FIELDS, RESULT_FIELDS, Record, document
from nanoos.writers.write import format_of, known_formats, write, writer_of
from nanoos.writers.writer import COMPRESSIONS, Add, TextWriter, Writer

__all__ = [
    "COMPRESSIONS",
    "FIELDS",
    "RESULT_FIELDS",
    "Add",
    "Record",
    "TextWriter",
    "Writer",
    "beside",
    "document",
    "exporting",
    "format_of",
    "known_formats",
    "write",
    "writer_of",
]
