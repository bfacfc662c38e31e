"""From files to structures. Each format is a plug-in of the group ``nanoos.parsers``."""

from nanoos.parsers.parser import Parsed, Parser
from nanoos.parsers.read import read

__all__ = ["Parsed", "Parser", "read"]
