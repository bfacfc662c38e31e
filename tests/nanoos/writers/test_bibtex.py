"""BibTeX is read again by another program, which finds what was written."""

import codecs
import re

import latexcodec  # noqa: F401 - registers the codec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybtex.database import parse_string

from nanoos.parsers import read
from nanoos.writers.bibtex import Bibliography, latex


def entries(*citations):
    bibliography = Bibliography()
    text = "".join(bibliography.cite(citation)[1] for citation in citations)
    return parse_string(text, "bibtex").entries, [bibliography.cite(c)[0] for c in citations]


def shown(text):
    """Return LaTeX as its reader sees it."""
    return re.sub(r"[{}]", "", codecs.decode(text, "ulatex")).replace(r"\$", "$")


def test_an_article_has_all_that_is_known_of_it():
    found, (key,) = entries(
        {
            "authors": ["Wyckoff R W G", "De la Cruz, Maria", "Rand and Sons"],
            "title": "Crystal structures: NaCl & 50% of H_2O",
            "journal": "American Mineralogist",
            "volume": "12",
            "page_first": "7",
            "page_last": "19",
            "year": 1963,
            "doi": "10.1000/a_b",
        }
    )
    entry = found[key]
    assert (key, entry.type) == ("Wyckoff1963", "article")
    first, second, third = entry.persons["author"]
    assert (first.last_names, first.first_names) == (["Wyckoff"], ["R"])
    assert (" ".join(second.prelast_names + second.last_names), second.first_names) == (
        "De la Cruz",
        ["Maria"],
    )
    assert shown(str(third)) == "Rand and Sons"
    assert shown(entry.fields["title"]) == "Crystal structures: NaCl & 50% of H_2O"
    assert (entry.fields["pages"], entry.fields["year"]) == ("7--19", "1963")
    assert entry.fields["doi"] == "10.1000/a_b"


@given(
    st.lists(
        st.fixed_dictionaries(
            {"authors": st.lists(st.text(), max_size=3)},
            optional={
                "title": st.text(),
                "journal": st.text(),
                "year": st.integers(1, 2100),
                "doi": st.text(),
            },
        ),
        max_size=8,
    )
)
def test_whatever_is_cited_can_be_parsed_under_a_key_of_its_own(citations):
    found, keys = entries(*citations)
    assert len({key.lower() for key in keys}) == len({repr(one) for one in citations})
    assert {key.lower() for key in found} == {key.lower() for key in keys}


@pytest.mark.parametrize("name", ["Žák", "Å", "Ørsted", "Łukasiewicz", "Groß", "Erdős", "Çelik"])
def test_letters_with_accents_are_plain_ascii_and_the_same_when_set(name):
    written = latex(name)
    assert written.isascii()
    assert shown(written) == name


@given(st.text(st.characters(codec="latin-1", exclude_categories=["C", "Z"]), min_size=1))
def test_every_letter_of_western_europe_is_read_as_it_was(text):
    assert shown(latex(text)) == re.sub(r"[{}]", "", text) or set(text) & set("\\{}~^")


def test_publications_of_the_examples_are_cited_once(examples):
    citations = [
        parsed.extra["citation"]
        for path in examples
        for parsed in read(path)
        if "citation" in parsed.extra
    ]
    assert citations
    found, keys = entries(*citations, *citations)
    assert set(found) == set(keys)
    assert keys[: len(citations)] == keys[len(citations) :]
    for citation, key in zip(citations, keys, strict=False):
        assert shown(found[key].fields["title"]) == citation["title"]
        assert len(found[key].persons["author"]) == len(citation["authors"])
