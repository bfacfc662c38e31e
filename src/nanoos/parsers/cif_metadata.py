"""What a CIF says about a structure besides its atoms: names, citation, database code, licence."""

from __future__ import annotations

import re
from typing import Any

from gemmi.cif import as_string, is_null

from nanoos.parsers.cif_items import Items

_NAMES = ("_chemical_name_mineral", "_chemical_name_common", "_chemical_name_systematic")
_CITATION = {
    "title": ("_publ_section_title", "_citation_title"),
    "journal": ("_journal_name_full", "_citation_journal_full", "_citation_journal_abbrev"),
    "volume": ("_journal_volume", "_citation_journal_volume"),
    "page_first": ("_journal_page_first", "_citation_page_first"),
    "page_last": ("_journal_page_last", "_citation_page_last"),
    "year": ("_journal_year", "_citation_year"),
    "doi": ("_journal_paper_doi", "_citation_doi"),
}
_AUTHORS = ("_publ_author_name", "_citation_author_name")
_DATABASE_CODES = {
    "AMCSD": ("_database_code_amcsd",),
    "COD": ("_cod_database_code", "_database_code_cod"),
    "ICSD": ("_database_code_icsd",),
    "CSD": ("_database_code_csd", "_database_code_depnum_ccdc_archive"),
}
_STATED = {
    "mineral": ("_chemical_name_mineral",),
    "stated_formula": ("_chemical_formula_sum",),
    "stated_space_group": ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M"),
}
_LICENCE_TAG = re.compile(r"_licen[cs]e(_url|_name)?$")
_LICENCE = re.compile(
    r"\blicen[cs]e|public domain|creative ?commons|\bmay be used\b", re.IGNORECASE
)
_COMMENTS = re.compile(r"(?:#[^\n]*\n?|\n)*")
_HEAD_CHARACTERS = 10_000


def metadata(block: Items, general: list[Items]) -> tuple[str, dict[str, Any]]:
    """Return the name and the ``extra`` of `Parsed`, the licence of the comments aside.

    A citation that the block lacks is taken from the blocks without atoms (``data_global``).
    """
    extra: dict[str, Any] = _values([block], _STATED)
    citation: dict[str, Any] = _values([block, *general], _CITATION)
    authors = _all([block, *general], _AUTHORS)
    if authors:
        citation["authors"] = authors
    if citation.get("year", "").isdecimal():
        citation["year"] = int(citation["year"][:9])
    if citation:
        extra["citation"] = citation
    for database, code in _values([block], _DATABASE_CODES).items():
        extra |= {"database": database, "database_code": code}
        break
    for items in (block, *general):
        for tag in filter(_LICENCE_TAG.search, items.tags):
            extra |= {"licence": licence} if (licence := " ".join(_all([items], (tag,)))) else {}
    return next(iter(_all([block], _NAMES)), ""), extra


def licence_in_comments(text: str) -> str | None:
    """Return what the comments at the head of a CIF say of its use."""
    comments = _COMMENTS.match(text, 0, _HEAD_CHARACTERS)
    if comments is None or not _LICENCE.search(_in_one_line(comments[0])):
        return None
    for paragraph in re.split(r"\n[#\s-]*\n", f"\n{comments[0]}\n"):
        words = _in_one_line(paragraph)
        sentences = re.split(r"(?<=[.!])\s+(?=[A-Z])", words)
        if stating := " ".join(s for s in sentences if _LICENCE.search(s)):
            return stating[:1000]
    return None


def _in_one_line(comments: str) -> str:
    return " ".join(comments.replace("#", " ").split())


def _values(blocks: list[Items], wanted: dict[str, tuple[str, ...]]) -> dict[str, str]:
    found = {key: _all(blocks, tags) for key, tags in wanted.items()}
    return {key: values[0] for key, values in found.items() if values}


def _all(blocks: list[Items], tags: tuple[str, ...]) -> list[str]:
    """Return the values of the first tag that has any, in one line each."""
    for block in blocks:
        for tag in tags:
            texts = [" ".join(as_string(v).split()) for v in block.column(tag) if not is_null(v)]
            if any(texts):
                return [text for text in texts if text]
    return []
