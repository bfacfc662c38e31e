"""Compares what a database held before with what it holds after, and names what differs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pgsteady.finding import Finding, Severity
from pgsteady.verify.evidence import LARGE_OBJECTS, Column, Content, Evidence, Expected
from pgsteady.verify.plans import slower

_DECLARE = "If it was meant, let the revision declare it: changes = {{{}}}"


def compare(before: Evidence, after: Evidence) -> list[Finding]:
    """Return what is not as it was, nor as the revisions applied in between declare it.

    What is new needs no declaration. What is gone is an error if it held data, unless the
    same content is there under another name.
    """
    expected = _expected(before, after)
    return [
        *_tables(before, after, expected),
        *_views(before, after, expected),
        *_sequences(before, after),
        *_enums(before, after),
        *_large_objects(before, after),
        *slower(before.plans, after.plans),
        *_not_read(before, after),
    ]


def _expected(before: Evidence, after: Evidence) -> dict[str, Expected]:
    """Return what was expected of the last of the revisions that were applied in between."""
    found: dict[str, Expected] = {}
    for revision, tables in before.expected.items():
        if revision not in after.applied:
            break
        found = tables
    return found


def _tables(before: Evidence, after: Evidence, expected: dict[str, Expected]) -> Iterator[Finding]:
    renamed = {rule.formerly: table for table, rule in expected.items() if rule.formerly}
    for formerly, was in before.tables.items():
        table = renamed.get(formerly, formerly)
        rule = expected.get(table, Expected(was))
        now = after.tables.get(table)
        if now is not None:
            yield from _content(table, was, now, rule)
        elif f"table {table}" not in after.not_read and not rule.any_rows:
            yield _gone_table(table, rule.content or was, after, before)


def _gone_table(table: str, was: Content, after: Evidence, before: Evidence) -> Finding:
    for other, content in after.tables.items():
        if other not in before.tables and _same(was, content):
            message = f"it is called {other} now, with the same content"
            return _info("renamed-table", f"table {table}", message)
    if was.rows == 0:
        return _info("dropped-table", f"table {table}", "it is gone; it held no rows")
    return _error(
        "lost-table",
        f"table {table}",
        f"it is gone, and its {_rows(was.rows)} with it",
        _DECLARE.format(f'"{table}": None'),
    )


def _content(table: str, was: Content, now: Content, rule: Expected) -> Iterator[Finding]:
    want = rule.content
    if want is None:
        return
    if now.rows != want.rows:
        yield _row_count(table, was, now, want)
    elif want.keyed and set(want.identity) & set(rule.any_columns):
        return  # nothing tells which row is which
    elif not _comparable(want, now):
        yield from _not_comparable(table, want, now)
    elif want.keyed and now.identities != want.identities:
        yield _error(
            "replaced-rows",
            f"table {table}",
            f"as many rows as expected, but not the same ones: the values of "
            f"{', '.join(now.identity)} differ",
            _DECLARE.format(f'"{table}": None'),
        )
    else:
        yield from _values(table, was, want, now, rule)


def _values(
    table: str, was: Content, want: Content, now: Content, rule: Expected
) -> Iterator[Finding]:
    new = {name: column for name, column in now.columns.items() if name not in was.columns}
    found = list(_columns(table, want, now, new, rule))
    yield from found
    same_columns = set(want.columns) == set(now.columns)
    if not want.keyed and not found and same_columns and now.identities != want.identities:
        yield _error(
            "changed-rows",
            f"table {table}",
            "each column holds the values that it held, but in other combinations",
        )


def _not_comparable(table: str, want: Content, now: Content) -> Iterator[Finding]:
    """Tell which columns are gone, at least: the key may be one of them."""
    for column in want.columns.keys() - now.columns.keys():
        yield _gone_column(table, column, want, {})
    if (want.keyed, want.one_in) == (now.keyed, now.one_in):
        keys = f"{', '.join(now.identity)}, and by {', '.join(want.identity)} before"
        why = f"its rows are told apart by {keys}"
        cure = "Let an invariant say what has to hold of it."
    else:
        why = "it was read in another way than before"
        cure = "Take the evidence like that of before: verify --against FILE."
    message = f"its values were not compared: {why}"
    yield _warning("not-compared", f"table {table}", message, cure)


def _row_count(table: str, was: Content, now: Content, want: Content) -> Finding:
    differs = now.rows - want.rows
    how = "lost-rows" if differs < 0 else "extra-rows"
    declared = "" if want.rows == was.rows else f", of which {want.rows} were to stay"
    return _error(
        how,
        f"table {table}",
        f"{_rows(abs(differs))} {'too few' if differs < 0 else 'too many'}: "
        f"{now.rows} now, {was.rows} before{declared}",
        _DECLARE.format(f'"{table}": "<condition of the rows that stay>"'),
    )


def _columns(
    table: str, want: Content, now: Content, new: dict[str, Column], rule: Expected
) -> Iterator[Finding]:
    for column, wanted in want.columns.items():
        found = now.columns.get(column)
        if found is None:
            yield _gone_column(table, column, want, new)
        elif found != wanted:
            yield _changed_column(table, column, want, now, column in rule.declared)


def _gone_column(table: str, column: str, want: Content, new: dict[str, Column]) -> Finding:
    was = want.columns[column]
    for other, found in new.items():
        if found == was and was.filled:
            return _info(
                "renamed-column",
                f"column {table}.{column}",
                f"it is called {other} now, with the same content",
            )
    if not was.filled:
        return _info(
            "dropped-column", f"column {table}.{column}", "it is gone; it held nothing but NULL"
        )
    return _error(
        "lost-column",
        f"column {table}.{column}",
        f"it is gone, and its {was.filled} values with it",
        _DECLARE.format(f'"{table}.{column}": None'),
    )


def _changed_column(
    table: str, column: str, want: Content, now: Content, declared: bool
) -> Finding:
    wanted, found = want.columns[column], now.columns[column]
    filled = (
        f"; {found.filled} values are not NULL, and {wanted.filled} should be"
        if found.filled != wanted.filled
        else ""
    )
    if declared:
        return _error(
            "not-as-declared",
            f"column {table}.{column}",
            f"its values are not what the declared expression gives{filled}",
            "Values are compared as text: an expression must have the column's new type.",
        )
    return _error(
        "changed-values",
        f"column {table}.{column}",
        f"its values changed, and no revision declares it{filled}",
        _DECLARE.format(f'"{table}.{column}": "<expression over the old row>"'),
    )


def _views(before: Evidence, after: Evidence, expected: dict[str, Expected]) -> Iterator[Finding]:
    for view, was in before.views.items():
        now = after.views.get(view)
        want = expected.get(view, Expected(was)).content
        if now is not None and want is not None and not _same(want, now):
            yield _warning(
                "changed-view",
                f"view {view}",
                "the materialized view holds other rows than before",
                _DECLARE.format(f'"{view}": None'),
            )


def _sequences(before: Evidence, after: Evidence) -> Iterator[Finding]:
    for sequence, was in before.sequences.items():
        now = after.sequences.get(sequence)
        if now is not None and (now.value - was.value) * was.increment < 0:
            yield _error(
                "sequence-went-back",
                f"sequence {sequence}",
                f"it goes on after {now.value}, before after {was.value}: numbers "
                "that were given out will be given out again",
                f"Set it to {was.value} with setval().",
            )


def _enums(before: Evidence, after: Evidence) -> Iterator[Finding]:
    for enum, was in before.enums.items():
        now = after.enums.get(enum)
        if now is None:
            continue
        stayed = [label for label in was if label in now]
        if stayed != [label for label in now if label in was]:
            yield _error(
                "enum-order",
                f"enum {enum}",
                f"its labels sort differently now: {', '.join(now)}; before: {', '.join(was)}",
            )
        if len(stayed) < len(was):
            gone = ", ".join(label for label in was if label not in now)
            yield _info("enum-labels", f"enum {enum}", f"it has no label {gone} any more")


def _large_objects(before: Evidence, after: Evidence) -> Iterator[Finding]:
    was, now = before.large_objects, after.large_objects
    if was.rows != now.rows or was.identities != now.identities:
        message = f"there are {now.rows} now, {was.rows} before"
        if was.rows == now.rows:
            message = "they are not the same ones"
    elif was.columns != now.columns and was.columns and now.columns:
        message = "their content changed"
    else:
        return
    yield _error("large-objects", LARGE_OBJECTS, message)


def _not_read(before: Evidence, after: Evidence) -> Iterator[Finding]:
    for what, why in (before.not_read | after.not_read).items():
        severity = Severity.WARNING if what in before.not_read else Severity.ERROR
        yield _finding(severity, "not-read", what, f"it could not be read: {why}")


def _comparable(want: Content, now: Content) -> bool:
    if (want.keyed, want.one_in) != (now.keyed, now.one_in):
        return False
    renamed_key = want.identities == now.identities
    return not want.keyed or want.identity == now.identity or renamed_key


def _same(was: Content, now: Content) -> bool:
    return (was.rows, was.identities, was.columns) == (now.rows, now.identities, now.columns)


def _rows(number: int) -> str:
    return f"{number} row{'' if number == 1 else 's'}"


def _finding(severity: Severity, code: str, object_: str, message: str, cure: str = "") -> Finding:
    return Finding(severity=severity, code=code, object=object_, message=message, cure=cure)


_error = partial(_finding, Severity.ERROR)
_warning = partial(_finding, Severity.WARNING)
_info = partial(_finding, Severity.INFO)
