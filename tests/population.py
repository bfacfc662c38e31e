"""Many synthetic structures, made in the database itself: for plans and figures of searches.

Compositions are random but skewed as real ones are (few elements and formulas are frequent);
what is derived from them is right, the rest is of plausible size and spread. No number here
describes a real material.
"""

from __future__ import annotations

import random

import psycopg2.extensions
from psycopg2.extras import execute_values

from nanoos.structures import formula
from nanoos.structures.structure import ELEMENTS

VIEWER = "local"
"""Who owns half of the structures; the others are a stranger's, and half of all is public."""


def populate(cursor: psycopg2.extensions.cursor, rows: int, *, wide: bool = False) -> None:
    """Fill an empty, migrated database with ``rows`` structures, and their statistics.

    With ``wide``, structures have as many sites and as long a source as real ones have.
    """
    cursor.execute("SELECT current_setting('is_superuser')")
    may_skip_checks = cursor.fetchone() == ("on",)
    if may_skip_checks:  # foreign keys hold by construction
        cursor.execute("SET session_replication_role = replica")
    cursor.execute("SET synchronous_commit = off")
    cursor.execute("SELECT setseed(0.5)")
    cursor.execute(_USERS, [VIEWER])
    _compositions(cursor, max(rows // 50, 500))
    cursor.execute(_CITATIONS, {"rows": rows // 6 + 1})
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'structures'"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:  # built at once, they take a third of the time
        cursor.execute(f'DROP INDEX "{name}"')
    cursor.execute(_STRUCTURES, {"rows": rows, "wide": wide})
    for _, definition in indexes:
        cursor.execute(definition)
    cursor.execute(_JOBS)
    if may_skip_checks:  # results have a trigger
        cursor.execute("RESET session_replication_role")
    cursor.execute(_METHOD)
    cursor.execute(_RESULTS)
    cursor.execute("DROP TABLE compositions")
    for table in ("structures", "citations", "simulation_jobs", "simulation_results", "users"):
        cursor.execute(f"VACUUM ANALYZE {table}")


def _compositions(cursor: psycopg2.extensions.cursor, number: int) -> None:
    chance = random.Random(0)
    symbols = sorted(ELEMENTS)
    chance.shuffle(symbols)
    weights = [1 / (place + 1) for place in range(len(symbols))]
    found = {}
    while len(found) < number:
        size = chance.choice([1, 2, 2, 3, 3, 3, 4, 4, 5, 6])
        drawn = set(chance.choices(symbols, weights, k=size))
        amounts = {symbol: chance.choice([1, 1, 1, 2, 2, 3, 4, 6, 8, 12]) for symbol in drawn}
        found[formula.reduced(amounts)] = amounts
    cursor.execute(_CREATE_COMPOSITIONS)
    execute_values(
        cursor,
        "INSERT INTO compositions VALUES %s",
        [
            (
                place,
                sorted(amounts),
                formula.chemical_system(amounts),
                text,
                formula.anonymous(amounts),
                [amounts[e] / sum(amounts.values()) for e in sorted(amounts)],
            )
            for place, (text, amounts) in enumerate(found.items())
        ],
    )
    cursor.execute(_MATERIALS)


_USERS = """
INSERT INTO users (email, username, role) VALUES
    ('local@localhost', %s, 'admin'), ('stranger@example.org', 'stranger', 'researcher')
"""
_CREATE_COMPOSITIONS = """
CREATE TABLE compositions (place int PRIMARY KEY, elements text[], chemical_system text,
    reduced_formula text, anonymous_formula text, ratios float8[],
    material_id uuid DEFAULT gen_random_uuid())
"""
_MATERIALS = """
INSERT INTO materials (id, reduced_formula, anonymous_formula, hill_formula, chemical_system,
                       elements, owner_id, visibility)
SELECT material_id, reduced_formula, anonymous_formula, reduced_formula, chemical_system,
       elements, users.id, 'public'
FROM compositions, users WHERE username = 'local'
"""
_CITATIONS = """
INSERT INTO citations (digest, title, journal, year, authors)
SELECT encode(sha256(i::text::bytea), 'hex'),
       (SELECT string_agg('word' || floor(20000 * random() ^ 3), ' ')
        FROM generate_series(1, 8) AS n WHERE n + i > 0),
       'Journal ' || i %% 300, 1950 + i %% 75,
       ARRAY['Author' || i %% 30011 || ' A', 'Writer' || floor(30000 * random() ^ 2) || ' B']
FROM generate_series(1, %(rows)s) AS i
"""
_STRUCTURES = """
INSERT INTO structures (
    id, material_id, name, lattice_a, positions_a, species, species_at_sites, dimension_types,
    number_of_sites, elements, elements_ratios, number_of_elements, chemical_system,
    reduced_formula, anonymous_formula, number_of_periodic_dimensions, is_ordered, volume_a3,
    density_g_per_cm3, space_group_number_at_0_01, space_group_symbol_at_0_01,
    space_group_number_at_0_1, space_group_symbol_at_0_1,
    cell_a_a, cell_b_a, cell_c_a, cell_alpha_deg, cell_beta_deg, cell_gamma_deg, protostructure,
    fingerprint, fingerprint_version, analysis_version, source_text, source_name, source,
    external_id, licence, citation_id, tags, owner_id, visibility, created_at, updated_at)
SELECT
    (lpad(to_hex(1764280000000 + i / 4), 12, '0') || '7' || substr(hash, 1, 3) || '8'
     || substr(hash, 4, 15))::uuid,
    material_id,
    CASE WHEN i %% 3 = 0 THEN 'mineral' || floor(5000 * random() ^ 2) END,
    CASE WHEN dimensions > 0 THEN ARRAY[[a, 0, 0], [0, b, 0], [0, 0, c]] END,
    ARRAY(SELECT ARRAY[random() * a, random() * b, random() * c] FROM generate_series(1, sites)),
    jsonb_build_array(jsonb_build_object('name', elements[1], 'chemical_symbols',
                      elements[1:1], 'concentration', '[1]'::jsonb)),
    array_fill(elements[1], ARRAY[sites]),
    CASE dimensions WHEN 0 THEN '{0,0,0}' WHEN 1 THEN '{0,0,1}' WHEN 2 THEN '{1,1,0}'
                    ELSE '{1,1,1}' END::smallint[],
    sites, elements, ratios, cardinality(elements), chemical_system, reduced_formula,
    anonymous_formula, dimensions, random() < 0.97,
    CASE dimensions WHEN 3 THEN a * b * c END,
    CASE dimensions WHEN 3 THEN 1 + 18 * random() ^ 2 END,
    strict, 'S' || strict, loose, 'S' || loose,
    a, b, c,
    CASE WHEN dimensions < 3 THEN NULL WHEN angles < 0.8 THEN 90 ELSE 60 + 60 * random() END,
    CASE WHEN dimensions < 3 THEN NULL WHEN angles < 0.6 THEN 90 ELSE 90 + 30 * random() END,
    CASE WHEN dimensions < 3 THEN NULL WHEN angles < 0.6 THEN 90 WHEN angles < 0.8 THEN 120
         ELSE 60 + 60 * random() END,
    anonymous_formula || '_oP' || sites || '_' || loose || '_'
    || translate(substr(hash, 20, 1), '0123456789', 'ghijklmnop') || ':' || chemical_system,
    hash || md5(hash), 1, 2,
    CASE WHEN %(wide)s THEN (SELECT string_agg(md5((i + n)::text), ' ')
                             FROM generate_series(1, 20 + sites) AS n) END,
    'file' || i || '.cif',
    CASE WHEN whence < 0.002 THEN 'rare' WHEN whence < 0.6 THEN 'COD'
         WHEN whence < 0.9 THEN 'MP' END,
    'id-' || i,
    CASE WHEN whence < 0.01 THEN 'CC-BY-4.0' WHEN whence < 0.5 THEN 'CC0-1.0' END,
    cited.id,
    CASE WHEN i %% 10 = 0 THEN ARRAY['tag' || i %% 1000, 'set' || i %% 7] ELSE '{}' END,
    users.id,
    CASE WHEN random() < 0.5 THEN 'public' ELSE 'private' END,
    timestamptz '2026-01-01' + i * interval '10 seconds',
    timestamptz '2026-01-01' + i * interval '10 seconds'
FROM (
    SELECT i, md5(i::text) AS hash,
           floor((SELECT count(*) FROM compositions) * random() ^ 2)::int AS place,
           1 + floor(230 * random() ^ 3)::int AS loose,
           1 + floor(230 * random() ^ 3)::int AS strict,
           CASE WHEN random() < 0.95 THEN 3 WHEN random() < 0.5 THEN 2
                WHEN random() < 0.6 THEN 0 ELSE 1 END AS dimensions,
           random() AS whence, random() AS angles,
           1 + floor((CASE WHEN %(wide)s THEN 120 ELSE 6 END) * random() ^ 2)::int AS sites,
           3 + 12 * random() AS a, 3 + 12 * random() AS b, 3 + 20 * random() AS c
    FROM generate_series(1, %(rows)s) AS i
) AS drawn
JOIN compositions USING (place)
JOIN users ON username = CASE WHEN i %% 2 = 0 THEN 'local' ELSE 'stranger' END
LEFT JOIN (SELECT id, row_number() OVER (ORDER BY id) AS number FROM citations) AS cited
  ON cited.number = i / 5
"""
_JOBS = """
INSERT INTO simulation_jobs (owner_id, structure_id, origin, parameters_sha256, status,
                             finished_at)
SELECT owner_id, id, 'imported', repeat('0', 64), 'succeeded', now()
FROM structures WHERE substr(fingerprint, 1, 2) < '05' AND owner_id =
    (SELECT id FROM users WHERE username = 'local')
"""
_METHOD = """
INSERT INTO methods VALUES (repeat('0', 64), '{"code": "VASP"}')
"""
_RESULTS = """
INSERT INTO simulation_results (simulation_job_id, energy_ev, energy_ev_per_atom,
    max_force_ev_per_a, pressure_gpa, volume_a3, volume_a3_per_atom, bulk_modulus_gpa,
    bulk_modulus_derivative, method_sha256, provenance, is_converged)
SELECT id, -1000 * random(), -10 * random(), random(), 10 * random() - 5, 1 + 1000 * random(),
       1 + 50 * random(), 500 * random(), 3 + 4 * random(), repeat('0', 64), '{}',
       random() < 0.9
FROM simulation_jobs
"""
