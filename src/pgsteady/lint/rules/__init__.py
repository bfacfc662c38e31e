"""The rules, by theme. Each looks at one statement and at what the revisions before made."""

from __future__ import annotations

from pgsteady.lint import ignores
from pgsteady.lint.hit import Check
from pgsteady.lint.rule import Rule
from pgsteady.lint.rules import (
    columns,
    constraints,
    data,
    directions,
    history,
    indexes,
    removal,
    source,
    tables,
    transactions,
    types,
    vectors,
)

_THEMES = (
    indexes,
    constraints,
    columns,
    types,
    data,
    removal,
    tables,
    transactions,
    vectors,
    source,
    directions,
    history,
    ignores,
)

RULES: dict[str, Rule] = {rule.code: rule for theme in _THEMES for rule in theme.RULES}

CHECKS: tuple[Check, ...] = (
    indexes.check_index,
    indexes.check_reindex,
    indexes.check_drop_index,
    constraints.check_constraints,
    constraints.check_domain,
    constraints.check_foreign_key_index,
    columns.check_added_columns,
    columns.check_dropped_columns,
    columns.check_columns_of_views,
    types.check_types,
    data.check_rows,
    data.check_truncate,
    data.check_lock,
    data.check_blocks,
    removal.check_drop,
    removal.check_rename,
    tables.check_alterations,
    tables.check_new_partition,
    tables.check_upkeep,
    tables.check_alone,
    vectors.check_vectors,
)
