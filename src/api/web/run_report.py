"""The report of imported runs: one HTML file that needs nothing beside it."""

from __future__ import annotations

from api.db import code_version
from api.schemas.run import RunReport
from api.services.run_report import CONFLICT_EV_PER_ATOM
from api.web.pages import environment

COLOURS = ("#0f6b7a", "#d9a441", "#b5493b", "#7a5c99", "#667085", "#a3b18a")

SHOWN = 20
"""Rows of a table of costs."""


def render(report: RunReport) -> str:
    """Return the report as HTML; every text from a file or the database is escaped."""
    template = environment().get_template("run_report.html.j2")
    return template.render(
        report=report,
        version=code_version(),
        colours=COLOURS,
        shown=SHOWN,
        limit=CONFLICT_EV_PER_ATOM,
    )
