"""pgvector: what an index can hold, and what building it needs.

Limits of pgvector 0.8 (``HNSW_MAX_DIM`` and ``IVFFLAT_MAX_DIM`` 2,000 for vector; twice
that for halfvec). The memory of a graph was measured: about 4 bytes a dimension and 716
more for each row, with m = 16.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import ERROR, INFO, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, Tree, Type, relation, type_of

RULES = (
    Rule(
        "vector-too-wide-for-index",
        ERROR,
        "PostgreSQL refuses: an index holds at most 2,000 dimensions of vector, 4,000 of halfvec",
        "index an expression: (embedding::halfvec(n)) halfvec_l2_ops, or binary_quantize()",
    ),
    Rule(
        "vector-without-dimensions",
        ERROR,
        "PostgreSQL refuses: an index needs to know the number of dimensions",
        "index an expression: (embedding::vector(n)), with a WHERE that selects that model's rows",
    ),
    Rule(
        "vector-build-memory",
        INFO,
        "a graph that outgrows maintenance_work_mem is built many times slower",
        "SET maintenance_work_mem for the build, by rows × bytes a row",
    ),
)


METHODS = {"hnsw", "ivfflat"}
MOST_DIMENSIONS = {"vector": 2000, "halfvec": 4000, "bit": 64000}
BYTES_PER_DIMENSION = {"vector": 4.0, "halfvec": 2.0, "bit": 0.125}
BYTES_PER_NODE = 716


def check_vectors(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """CREATE INDEX … USING hnsw or ivfflat."""
    tree = statement.tree
    if statement.kind != "index_stmt" or tree.get("access_method") not in METHODS:
        return
    table, name = relation(tree["relation"]), tree.get("idxname", "")
    for element in tree["index_params"]:
        type_ = _type(element["index_elem"], table, schema)
        if type_ is None or type_.name not in MOST_DIMENSIONS:
            continue
        if not type_.modifiers:
            yield Hit("vector-without-dimensions", name)
        elif type_.modifiers[0] > MOST_DIMENSIONS[type_.name]:
            yield Hit("vector-too-wide-for-index", name, f"{type_.modifiers[0]} dimensions")
        elif tree["access_method"] == "hnsw" and not schema.is_new(table):
            size = BYTES_PER_DIMENSION[type_.name] * type_.modifiers[0] + BYTES_PER_NODE
            yield Hit("vector-build-memory", name, f"about {size:,.0f} bytes a row")


def _type(element: Tree, table: str, schema: Schema) -> Type | None:
    if "name" in element:
        known = schema.column(table, element["name"])
        return known.type if known else None
    if cast := element.get("expr", {}).get("type_cast"):
        return type_of(cast["type_name"])
    return None
