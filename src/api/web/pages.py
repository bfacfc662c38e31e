"""How pages are made of templates; every text from a file or the database is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """Return Jinja's environment with the templates of this package."""
    made = Environment(loader=PackageLoader("api.web"), autoescape=True, undefined=StrictUndefined)
    made.filters["number"] = number
    return made


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals, a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"
