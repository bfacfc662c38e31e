"""From files to structures. Each format is a plug-in of the group ``nanoos.parsers``."""

from nanoos.parsers.find import find
from nanoos.parsers.parser import Parsed, Parser, Rejected
from nanoos.parsers.read import read, read_source
from nanoos.parsers.source import Source, Unfound

__all__ = ["Parsed", "Parser", "Rejected", "Source", "Unfound", "find", "read", "read_source"]
