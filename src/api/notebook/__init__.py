"""The platform in a notebook: plain Python over the services, nothing to await."""

from api.notebook.entry import Entry
from api.notebook.filters import Filters
from api.notebook.found import Found
from api.notebook.intake import Imported
from api.notebook.session import Session

__all__ = ["Entry", "Filters", "Found", "Imported", "Session"]
