"""What a revision would do to whom, before it does.

:func:`lint` runs each revision by itself in offline mode, so that no database is needed,
and looks at its SQL, at its file, and at its place in the history.
"""

from pgsteady.lint.review import Review, lint

__all__ = ["Review", "lint"]
