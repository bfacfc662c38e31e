"""The Python file: what never becomes SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.reading import Revision
from pgsteady.lint.rule import ERROR, INFO, WARNING, Rule

RULES = (
    Rule(
        "bare-string",
        ERROR,
        "SQLAlchemy 2 refuses to execute a bare string, so the revision fails",
        "op.execute(sa.text(…)) or connection.execute(sa.text(…))",
    ),
    Rule(
        "needs-database",
        WARNING,
        "it reads from the database, or sends values beside its SQL, while it runs, so "
        "`alembic upgrade --sql` fails or writes a script that does",
        "write it as one whole statement for op.execute(), or test context.is_offline_mode()",
    ),
    Rule(
        "cannot-run",
        ERROR,
        "upgrade() fails before it reaches a database",
        "mend it; `alembic upgrade REVISION --sql` shows the same",
    ),
    Rule(
        "syntax-error",
        ERROR,
        "PostgreSQL does not understand it",
        "mend it",
    ),
    Rule(
        "batch-mode",
        INFO,
        "batch_alter_table avoids no lock on PostgreSQL: it only groups the same statements",
        "plain op.add_column(), op.create_index() and so on, each in its safe form",
    ),
    Rule(
        "batch-mode-copies",
        ERROR,
        "the table is copied, dropped and replaced while nobody can use it; what the copy does not "
        "know is lost",
        "plain op.alter_column() and so on",
    ),
    Rule(
        "operator-class-in-text",
        INFO,
        "Alembic cannot compare an operator class inside a text: it takes the index for equal",
        'postgresql_ops={"column": "class"}',
    ),
    Rule(
        "empty-docstring",
        WARNING,
        "whoever reads the history does not learn what the revision is for",
        "say in the docstring what changes, and why",
    ),
    Rule(
        "missing-downgrade",
        WARNING,
        "`alembic downgrade` passes over it and leaves what upgrade() did",
        "undo it in downgrade(), or raise NotImplementedError with the reason",
    ),
)


Located = tuple[int | None, Hit]

_OPERATOR_CLASS = re.compile(r"\S \w+_ops\b")
_BOILERPLATE = re.compile(r"^\s*(Revision ID|Revises|Create Date):.*$", re.MULTILINE)


def check_source(revision: Revision) -> Iterator[Located]:
    """Look at the file, without running it."""
    if not _BOILERPLATE.sub("", ast.get_docstring(revision.tree) or "").strip():
        yield 1, Hit("empty-docstring", revision.id)
    for node in ast.walk(revision.tree):
        if isinstance(node, ast.Call):
            yield from _call(node)
    yield from _downgrade(revision)


def _call(call: ast.Call) -> Iterator[Located]:
    name = ast.unparse(call.func)
    receiver, _, method = name.rpartition(".")
    if method == "execute" and receiver.rpartition(".")[2] != "op" and "cur" not in receiver:
        if call.args and _is_text(call.args[0]):
            yield call.lineno, Hit("bare-string", f"{name}()")
    elif method == "create_index":
        yield from _operator_classes(call)
    elif method == "batch_alter_table":
        copies = any(k.arg == "recreate" and _says(k.value, "always") for k in call.keywords)
        table = ast.unparse(call.args[0]).strip("'\"") if call.args else name
        yield call.lineno, Hit("batch-mode-copies" if copies else "batch-mode", table)


def _operator_classes(call: ast.Call) -> Iterator[Located]:
    """CREATE INDEX whose operator class stands in the text of an expression."""
    for node in ast.walk(call):
        if isinstance(node, ast.Constant) and _OPERATOR_CLASS.search(str(node.value)):
            yield node.lineno, Hit("operator-class-in-text", str(node.value))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _says(node: ast.expr, value: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def _downgrade(revision: Revision) -> Iterator[Located]:
    upgrade, downgrade = revision.function("upgrade"), revision.function("downgrade")
    if upgrade is None or _does_nothing(upgrade):
        return
    if downgrade is None or _does_nothing(downgrade):
        yield downgrade.lineno if downgrade else 1, Hit("missing-downgrade", revision.id)


def _does_nothing(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass | ast.Return)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )
