"""POSCAR, VASP's structure file, with fractional coordinates. VASP manual, "POSCAR"."""

from __future__ import annotations

from collections.abc import Callable

from nanoos.structures import formula
from nanoos.structures.fingerprint import steady_fractional
from nanoos.writers.numbers import digits, lattice_of_crystal
from nanoos.writers.record import Record
from nanoos.writers.writer import TextWriter


class PoscarWriter(TextWriter):
    """The writer of POSCAR files: one ordered crystal a file."""

    name = "poscar"
    suffixes = (".vasp", ".poscar")
    stems = ("poscar", "contcar")
    one_per_file = True

    def encoder(self) -> Callable[[Record], str]:
        """Return what makes the text of a file."""
        return _text


def _text(record: Record) -> str:
    structure = record.structure
    lattice, symbols = lattice_of_crystal(structure, "poscar"), structure.symbols
    order = sorted(range(len(symbols)), key=symbols.__getitem__)
    elements = list(structure.elements)
    places = steady_fractional(structure)
    lines = [_comment(record), "1.0"]
    lines += [digits(vector) for vector in lattice]
    lines += [" ".join(elements), " ".join(str(symbols.count(e)) for e in elements), "Direct"]
    lines += [digits(places[i]) for i in order]
    return "\n".join(lines) + "\n"


def _comment(record: Record) -> str:
    """Return one line: the file's own comment, else name; database code; citation."""
    extra, citation = record.extra, record.citation
    reference = [", ".join(citation.get("authors", []))]
    reference += [str(citation.get(key, "")) for key in ("journal", "volume")]
    reference.append(f"({citation['year']})" if "year" in citation else "")
    reference.append(str(citation.get("page_first", "")))
    name = extra.get("mineral") or record.known.get("name")
    parts = [
        name or formula.reduced(record.structure.composition),
        f"{extra.get('database', '')} {extra.get('database_code', '')}",
        " ".join(part for part in reference if part),
    ]
    comment = extra.get("comment") or "; ".join(part for part in parts if part.strip())
    return " ".join(str(comment).split())
