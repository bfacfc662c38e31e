"""VASP's input: INCAR, KPOINTS, and of a POTCAR its titles and hashes, never its content.

Formats: VASP manual, "INCAR", "KPOINTS", "POTCAR".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nanoos.parsers import Source
from nanoos.parsers.source import MAX_LINE_BYTES

MAX_INPUT_BYTES = 1024**2
"""INCAR and KPOINTS files are never as long."""

_REPEATED = re.compile(r"(\d{1,5})\*(\S+)")
_STATEMENT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def _number(words: list[str]) -> float:
    return float(words[0].lower().replace("d", "e"))


def _numbers(words: list[str]) -> list[float]:
    """Return a list of numbers, ``3*0`` written out."""
    found: list[float] = []
    for word in words:
        repeated = _REPEATED.fullmatch(word)
        times, one = (int(repeated[1]), repeated[2]) if repeated else (1, word)
        found += [_number([one])] * times
    return found


def _logical(words: list[str]) -> bool:
    return {"T": True, "F": False}[words[0].strip(".")[:1].upper()]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How tags of one kind are read, and of which types their values are."""

    read: Callable[[list[str]], Any]
    types: tuple[type, ...]
    names: str


_KINDS = (
    _Kind(
        lambda words: int(words[0]),
        (int, float),
        "ISPIN NELM NELMIN NSW IBRION ISIF ISMEAR IDIPOL LEXCH VOSKOWN IVDW IVDW_NL LDAUTYPE "
        "ICHARG ISYM LMAXPAW I_CONSTRAINED_M IALGO IMAGES",
    ),
    _Kind(
        _number,
        (int, float),
        "ENCUT ENMAX EDIFF EDIFFG PSTRESS NELECT NUPDOWN SIGMA AEXX HFSCREEN ALDAC AGGAC AGGAX "
        "ALDAX TEBEG TEEND POTIM SMASS KSPACING EFIELD BPARAM ZAB_VDW VDW_S6 VDW_S8 VDW_SR VDW_A1 "
        "VDW_A2 VDW_RADIUS",
    ),
    _Kind(
        _logical,
        (bool,),
        "LNONCOLLINEAR LSORBIT LASPH GGA_COMPAT LHFCALC LDIPOL LUSE_VDW LSOL LDAU LVDW ADDGRID "
        "KGAMMA LMODELHF LTHOMAS LSPIRAL LEPSILON LOPTICS",
    ),
    _Kind(  # A is automatic
        lambda words: not words[0].strip(".").upper().startswith("F"), (bool,), "LREAL"
    ),
    _Kind(lambda words: words[0], (str,), "PREC METAGGA GGA ALGO"),
    _Kind(_numbers, (list,), "LDAUL LDAUU LDAUJ ZVAL"),
)
_KIND_OF = {name: kind for kind in _KINDS for name in kind.names.split()}


def tag_value(name: str, written: str) -> Any:
    """Return the value of an INCAR tag in its type; None for what is none, or a tag not wanted."""
    words, kind = written.split(), _KIND_OF.get(name)
    try:
        return kind.read(words) if kind and words else None
    except (ValueError, KeyError):
        return None


def fits(name: str, value: Any) -> bool:
    """Tell whether a value is one that the tag may have; those of unknown tags all are."""
    kind = _KIND_OF.get(name)
    if kind is None:
        return True
    return isinstance(value, kind.types) and (bool in kind.types or not isinstance(value, bool))


def incar(source: Source) -> dict[str, Any]:
    """Return the tags of an INCAR that are known, typed; the first of each counts, as in VASP."""
    text = _text(source).replace("\\\n", " ")
    found: dict[str, Any] = {}
    for line in text.splitlines():
        for statement in re.split(r"[#!]", line)[0].split(";"):
            if named := _STATEMENT.fullmatch(statement):
                value = tag_value(named[1].upper(), named[2])
                if value is not None:
                    found.setdefault(named[1].upper(), value)
    return found


def mesh(source: Source) -> tuple[int, ...]:
    """Return the divisions of the mesh that a KPOINTS file asks for; none for a list or a path."""
    lines = [re.split(r"[#!]", line)[0].split() for line in _text(source).splitlines()]
    if len(lines) < 4 or lines[1][:1] != ["0"] or not lines[2] or lines[2][0][0] not in "GgMm":
        return ()
    words = lines[3][:3]
    divisions = tuple(int(word) for word in words if word.isdecimal() and len(word) < 6)
    return divisions if len(divisions) == 3 and all(divisions) else ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """One element's part of a POTCAR."""

    title: str
    sha256: str


def datasets(source: Source) -> Iterator[Dataset]:
    """Yield title and hash of each part of a POTCAR, read line by line and not kept.

    The hash is the one that newer files state of themselves, where it is right: of all lines but
    those of the hash and the copyright. That one VASP 6 prints too. Else it is that of the part
    as it is.
    """
    title, stated, whole, own = "", "", hashlib.sha256(), hashlib.sha256()
    with source.open() as stream:
        while line := stream.readline(MAX_LINE_BYTES):
            whole.update(line)
            if line.lstrip().startswith(b"SHA256"):
                stated = _said(line).split(" ")[0].lower()
            elif not line.lstrip().startswith(b"COPYR"):
                own.update(line)
            if b"TITEL" in line:
                title = _said(line)
            elif b"End of Dataset" in line:
                is_right = stated == own.hexdigest()
                yield Dataset(title, stated if is_right else whole.hexdigest())
                title, stated, whole, own = "", "", hashlib.sha256(), hashlib.sha256()


def _said(line: bytes) -> str:
    """Return what stands behind the equals sign."""
    return " ".join(line.partition(b"=")[2].decode("latin-1").split())


def _text(source: Source) -> str:
    data = source.head(MAX_INPUT_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
