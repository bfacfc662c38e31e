"""The initial schema: eight tables.

users, materials, structures, workflow_templates, simulation_jobs (also the
queue), simulation_results, vector_embeddings and structure_similarities. The
extension vector is created where it is missing; an administrator may have done
so before, and no downgrade drops it.

Revision ID: 001_initial_schema
Revises:
Create Date: 2026-11-22 19:59:57.612618
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR
from sqlalchemy.dialects import postgresql

revision: str = "001_initial_schema"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the extension and the eight tables."""
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False, comment="Unique regardless of case"),
        sa.Column("username", sa.Text(), nullable=False, comment="Unique regardless of case"),
        sa.Column(
            "password_hash",
            sa.Text(),
            nullable=True,
            comment="argon2id in PHC form; NULL: cannot log in (the local owner)",
        ),
        sa.Column("role", sa.Text(), server_default="researcher", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("role IN ('viewer', 'researcher', 'admin')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        comment="User accounts and authentication",
    )
    op.create_index(
        "ix_users_email_lower", "users", [sa.literal_column("lower(email)")], unique=True
    )
    op.create_index(
        "ix_users_username_lower", "users", [sa.literal_column("lower(username)")], unique=True
    )
    op.create_table(
        "workflow_templates",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("engine", sa.Text(), nullable=False, comment="Used where the job names none"),
        sa.Column(
            "steps",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="What is done, in order",
        ),
        sa.Column(
            "parameters_schema",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="JSON Schema of the parameters, with units",
        ),
        sa.Column(
            "defaults",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "resources",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="What one job needs: cores, memory_gb, wall_time_s",
        ),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_workflow_templates_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflow_templates")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_workflow_templates_name_version")),
        comment="Simulation workflow definitions",
    )
    op.create_table(
        "materials",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True, comment="As people call it, such as Halite"),
        sa.Column(
            "reduced_formula",
            sa.Text(),
            nullable=False,
            comment="OPTIMADE: elements in alphabetical order, smallest integers",
        ),
        sa.Column("anonymous_formula", sa.Text(), nullable=False, comment="OPTIMADE: such as A2B"),
        sa.Column(
            "hill_formula",
            sa.Text(),
            nullable=False,
            comment="Hill order; of the formula unit, for molecules of the whole",
        ),
        sa.Column(
            "chemical_system",
            sa.Text(),
            nullable=False,
            comment="Elements in alphabetical order, joined by -",
        ),
        sa.Column(
            "elements", postgresql.ARRAY(sa.Text()), nullable=False, comment="In alphabetical order"
        ),
        sa.Column(
            "space_group_number",
            sa.SmallInteger(),
            nullable=True,
            comment="At a tolerance of 0.1 Å; NULL where not periodic in 3 directions",
        ),
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column(
            "source", sa.Text(), nullable=True, comment="Collection or publication it came from"
        ),
        sa.Column("external_id", sa.Text(), nullable=True, comment="Its identifier in that source"),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column(
            "visibility",
            sa.Text(),
            server_default="private",
            nullable=False,
            comment="private: the owner; public: everyone",
        ),
        sa.Column(
            "scope_key",
            sa.Text(),
            sa.Computed(
                "CASE WHEN visibility = 'public' THEN 'public' ELSE owner_id::text END",
                persisted=True,
            ),
            nullable=False,
            comment="Rows are unique within a scope: the owner's, or the public one",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "visibility IN ('private', 'public')", name=op.f("ck_materials_visibility")
        ),
        sa.CheckConstraint("cardinality(elements) >= 1", name=op.f("ck_materials_elements")),
        sa.CheckConstraint(
            "space_group_number BETWEEN 1 AND 230", name=op.f("ck_materials_space_group_number")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["users.id"],
            name=op.f("fk_materials_owner_id_users"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_materials")),
        sa.UniqueConstraint(
            "scope_key",
            "hill_formula",
            "space_group_number",
            name=op.f("uq_materials_scope_key_hill_formula_space_group_number"),
            postgresql_nulls_not_distinct=True,
        ),
        comment="Material metadata",
    )
    op.create_index(
        op.f("ix_materials_anonymous_formula"), "materials", ["anonymous_formula"], unique=False
    )
    op.create_index(
        op.f("ix_materials_chemical_system"), "materials", ["chemical_system"], unique=False
    )
    op.create_index(
        op.f("ix_materials_elements"),
        "materials",
        ["elements"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(op.f("ix_materials_owner_id"), "materials", ["owner_id"], unique=False)
    op.create_index(
        op.f("ix_materials_reduced_formula"), "materials", ["reduced_formula"], unique=False
    )
    op.create_index(
        op.f("ix_materials_tags"), "materials", ["tags"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "structures",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("material_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True, comment="As the source calls it"),
        sa.Column(
            "lattice_a",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=True,
            comment="3 × 3 lattice vectors as rows, in Å; NULL for a molecule with no cell",
        ),
        sa.Column(
            "positions_a",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=False,
            comment="n × 3 Cartesian positions, in Å",
        ),
        sa.Column(
            "species",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="OPTIMADE species: name, chemical_symbols, concentration (occupancies)",
        ),
        sa.Column(
            "species_at_sites",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Name of the species of each site",
        ),
        sa.Column(
            "dimension_types",
            postgresql.ARRAY(sa.SmallInteger()),
            nullable=False,
            comment="OPTIMADE: 1 where the lattice direction repeats, else 0",
        ),
        sa.Column("number_of_sites", sa.Integer(), nullable=False),
        sa.Column(
            "is_ordered",
            sa.Boolean(),
            nullable=False,
            comment="Every site holds one element, fully",
        ),
        sa.Column("volume_a3", sa.Double(), nullable=True, comment="Volume of the cell, in Å³"),
        sa.Column(
            "density_g_per_cm3", sa.Double(), nullable=True, comment="Mass density, in g/cm³"
        ),
        sa.Column(
            "space_group_number_at_0_01",
            sa.SmallInteger(),
            nullable=True,
            comment="International number at a tolerance of 0.01 Å",
        ),
        sa.Column(
            "space_group_symbol_at_0_01", sa.Text(), nullable=True, comment="Hermann–Mauguin"
        ),
        sa.Column(
            "space_group_number_at_0_1",
            sa.SmallInteger(),
            nullable=True,
            comment="International number at a tolerance of 0.1 Å",
        ),
        sa.Column("space_group_symbol_at_0_1", sa.Text(), nullable=True, comment="Hermann–Mauguin"),
        sa.Column(
            "symmetry_engine",
            sa.Text(),
            nullable=True,
            comment="Program and version that found the space groups",
        ),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment="sha256 of the canonical exact content",
        ),
        sa.Column("fingerprint_version", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.Text(), server_default="upload", nullable=False),
        sa.Column(
            "parent_id",
            sa.Uuid(),
            nullable=True,
            comment="What it was relaxed from, or is a snapshot of",
        ),
        sa.Column("source_text", sa.Text(), nullable=True, comment="The source as it came"),
        sa.Column("source_format", sa.Text(), nullable=True),
        sa.Column("source_name", sa.Text(), nullable=True, comment="File name, without its folder"),
        sa.Column("source_sha256", sa.Text(), nullable=True),
        sa.Column(
            "extra",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Citation and whatever else the source said",
        ),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column(
            "visibility",
            sa.Text(),
            server_default="private",
            nullable=False,
            comment="private: the owner; public: everyone",
        ),
        sa.Column(
            "scope_key",
            sa.Text(),
            sa.Computed(
                "CASE WHEN visibility = 'public' THEN 'public' ELSE owner_id::text END",
                persisted=True,
            ),
            nullable=False,
            comment="Rows are unique within a scope: the owner's, or the public one",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(origin = 'upload') = (parent_id IS NULL)", name=op.f("ck_structures_parent")
        ),
        sa.CheckConstraint(
            "cardinality(dimension_types) = 3 AND dimension_types <@ '{0,1}'::smallint[]",
            name=op.f("ck_structures_dimension_types"),
        ),
        sa.CheckConstraint(
            "lattice_a IS NOT NULL OR dimension_types = '{0,0,0}'::smallint[]",
            name=op.f("ck_structures_lattice_given"),
        ),
        sa.CheckConstraint(
            "origin IN ('upload', 'relaxed', 'snapshot')", name=op.f("ck_structures_origin")
        ),
        sa.CheckConstraint(
            "visibility IN ('private', 'public')", name=op.f("ck_structures_visibility")
        ),
        sa.CheckConstraint(
            "lattice_a IS NULL OR cardinality(lattice_a) = 9 AND array_length(lattice_a, 1) = 3 AND ('Infinity'::float8 > ALL (lattice_a) AND '-Infinity'::float8 < ALL (lattice_a)) IS TRUE",
            name=op.f("ck_structures_lattice_a"),
        ),
        sa.CheckConstraint(
            "cardinality(positions_a) = 3 * number_of_sites AND array_length(positions_a, 1) = number_of_sites AND ('Infinity'::float8 > ALL (positions_a) AND '-Infinity'::float8 < ALL (positions_a)) IS TRUE",
            name=op.f("ck_structures_positions_a"),
        ),
        sa.CheckConstraint(
            "cardinality(species_at_sites) = number_of_sites",
            name=op.f("ck_structures_species_at_sites"),
        ),
        sa.CheckConstraint(
            "density_g_per_cm3 > 0 AND density_g_per_cm3 < 'Infinity'",
            name=op.f("ck_structures_density_g_per_cm3"),
        ),
        sa.CheckConstraint("length(fingerprint) = 64", name=op.f("ck_structures_fingerprint")),
        sa.CheckConstraint("number_of_sites >= 1", name=op.f("ck_structures_number_of_sites")),
        sa.CheckConstraint(
            "space_group_number_at_0_01 BETWEEN 1 AND 230 AND space_group_number_at_0_1 BETWEEN 1 AND 230",
            name=op.f("ck_structures_space_group_numbers"),
        ),
        sa.CheckConstraint(
            "volume_a3 > 0 AND volume_a3 < 'Infinity'", name=op.f("ck_structures_volume_a3")
        ),
        sa.ForeignKeyConstraint(
            ["material_id"],
            ["materials.id"],
            name=op.f("fk_structures_material_id_materials"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["users.id"],
            name=op.f("fk_structures_owner_id_users"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["structures.id"],
            name=op.f("fk_structures_parent_id_structures"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_structures")),
        sa.UniqueConstraint(
            "scope_key", "fingerprint", name=op.f("uq_structures_scope_key_fingerprint")
        ),
        comment="Atomic structure data",
    )
    op.create_index(op.f("ix_structures_material_id"), "structures", ["material_id"], unique=False)
    op.create_index(
        op.f("ix_structures_number_of_sites"), "structures", ["number_of_sites"], unique=False
    )
    op.create_index(op.f("ix_structures_owner_id"), "structures", ["owner_id"], unique=False)
    op.create_index(op.f("ix_structures_parent_id"), "structures", ["parent_id"], unique=False)
    op.create_index(
        op.f("ix_structures_source_sha256"), "structures", ["source_sha256"], unique=False
    )
    op.create_index(
        op.f("ix_structures_space_group_number_at_0_1"),
        "structures",
        ["space_group_number_at_0_1"],
        unique=False,
    )
    op.create_table(
        "simulation_jobs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column(
            "structure_id",
            sa.Uuid(),
            nullable=True,
            comment="NULL only for imported runs without one",
        ),
        sa.Column("workflow_template_id", sa.Uuid(), nullable=True),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), server_default="submitted", nullable=False),
        sa.Column(
            "parameters",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="All of them, defaults filled in",
        ),
        sa.Column(
            "parameters_sha256",
            sa.Text(),
            nullable=False,
            comment="Of the parameters as canonical JSON",
        ),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "submitted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="submitted_at - priority * 10 min: claimed in this order, so waiting counts",
        ),
        sa.Column(
            "attempt",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Times claimed so far",
        ),
        sa.Column("worker", sa.Text(), nullable=True, comment="host:pid that claimed it last"),
        sa.Column(
            "lease_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Until when the worker holds it without a further heartbeat",
        ),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "progress", sa.Double(), server_default=sa.text("0"), nullable=False, comment="0 to 1"
        ),
        sa.Column("progress_message", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True, comment="Why it failed, in words"),
        sa.Column("error_type", sa.Text(), nullable=True, comment="Class of the error"),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Start of the last attempt",
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (lease_until IS NOT NULL)",
            name=op.f("ck_simulation_jobs_running_has_lease"),
        ),
        sa.CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_simulation_jobs_ended_has_time"),
        ),
        sa.CheckConstraint(
            "origin = 'imported' OR (structure_id IS NOT NULL AND workflow_template_id IS NOT NULL AND engine IS NOT NULL)",
            name=op.f("ck_simulation_jobs_submitted_is_complete"),
        ),
        sa.CheckConstraint(
            "origin IN ('submitted', 'imported')", name=op.f("ck_simulation_jobs_origin")
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'waiting', 'running', 'paused', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_simulation_jobs_status"),
        ),
        sa.CheckConstraint("attempt >= 0", name=op.f("ck_simulation_jobs_attempt")),
        sa.CheckConstraint(
            "priority BETWEEN -100 AND 100", name=op.f("ck_simulation_jobs_priority")
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name=op.f("ck_simulation_jobs_progress")),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["users.id"],
            name=op.f("fk_simulation_jobs_owner_id_users"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["structure_id"],
            ["structures.id"],
            name=op.f("fk_simulation_jobs_structure_id_structures"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["workflow_template_id"],
            ["workflow_templates.id"],
            name=op.f("fk_simulation_jobs_workflow_template_id_workflow_templates"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simulation_jobs")),
        comment="Submitted simulation jobs; this table is the queue",
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_simulation_jobs_claim",
        "simulation_jobs",
        ["due_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        op.f("ix_simulation_jobs_owner_id"), "simulation_jobs", ["owner_id"], unique=False
    )
    op.create_index(
        "ix_simulation_jobs_running",
        "simulation_jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        op.f("ix_simulation_jobs_structure_id"), "simulation_jobs", ["structure_id"], unique=False
    )
    op.create_index(
        op.f("ix_simulation_jobs_workflow_template_id"),
        "simulation_jobs",
        ["workflow_template_id"],
        unique=False,
    )
    op.create_index(
        "uq_simulation_jobs_identity",
        "simulation_jobs",
        ["owner_id", "structure_id", "workflow_template_id", "engine", "parameters_sha256"],
        unique=True,
        postgresql_where=sa.text("origin = 'submitted' AND status NOT IN ('failed', 'cancelled')"),
    )
    op.create_table(
        "structure_similarities",
        sa.Column("structure_a_id", sa.Uuid(), nullable=False),
        sa.Column("structure_b_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("distance", sa.Double(), nullable=False, comment="In the model's own metric"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("distance >= 0", name=op.f("ck_structure_similarities_distance")),
        sa.CheckConstraint(
            "structure_a_id < structure_b_id", name=op.f("ck_structure_similarities_ordered_pair")
        ),
        sa.ForeignKeyConstraint(
            ["structure_a_id"],
            ["structures.id"],
            name=op.f("fk_structure_similarities_structure_a_id_structures"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["structure_b_id"],
            ["structures.id"],
            name=op.f("fk_structure_similarities_structure_b_id_structures"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "structure_a_id",
            "structure_b_id",
            "model",
            "model_version",
            name=op.f("pk_structure_similarities"),
        ),
        comment="Precomputed structure similarities",
    )
    op.create_index(
        op.f("ix_structure_similarities_structure_b_id_model_model_version"),
        "structure_similarities",
        ["structure_b_id", "model", "model_version"],
        unique=False,
    )
    op.create_table(
        "vector_embeddings",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("structure_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column(
            "embedding",
            VECTOR(),
            nullable=False,
            comment="Of any dimension; each model and version has its own partial index",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "vector_dims(embedding) = dimension", name=op.f("ck_vector_embeddings_dimension")
        ),
        sa.ForeignKeyConstraint(
            ["structure_id"],
            ["structures.id"],
            name=op.f("fk_vector_embeddings_structure_id_structures"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_embeddings")),
        sa.UniqueConstraint(
            "structure_id",
            "model",
            "model_version",
            name=op.f("uq_vector_embeddings_structure_id_model_model_version"),
        ),
        comment="ML embeddings for similarity search",
    )
    op.create_table(
        "simulation_results",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("simulation_job_id", sa.Uuid(), nullable=False),
        sa.Column(
            "energy_ev", sa.Double(), nullable=True, comment="Total energy of the cell, in eV"
        ),
        sa.Column("energy_ev_per_atom", sa.Double(), nullable=True, comment="In eV per atom"),
        sa.Column(
            "max_force_ev_per_a",
            sa.Double(),
            nullable=True,
            comment="Largest force on an atom, in eV/Å",
        ),
        sa.Column(
            "pressure_gpa", sa.Double(), nullable=True, comment="In GPa, positive under compression"
        ),
        sa.Column("volume_a3", sa.Double(), nullable=True, comment="Volume of the cell, in Å³"),
        sa.Column("volume_a3_per_atom", sa.Double(), nullable=True, comment="In Å³ per atom"),
        sa.Column("bulk_modulus_gpa", sa.Double(), nullable=True, comment="In GPa"),
        sa.Column(
            "bulk_modulus_derivative",
            sa.Double(),
            nullable=True,
            comment="Pressure derivative of the bulk modulus, dimensionless",
        ),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Further quantities: name → {values, unit}",
        ),
        sa.Column("is_converged", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "convergence",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "method",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Code, functional or potential, and what else makes numbers comparable",
        ),
        sa.Column(
            "method_sha256", sa.Text(), nullable=False, comment="Of the method as canonical JSON"
        ),
        sa.Column("output_structure_id", sa.Uuid(), nullable=True),
        sa.Column(
            "provenance",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Engine, package versions, host, code revision, hash of the input",
        ),
        sa.Column(
            "artifacts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Files: name, media type, sha256, place",
        ),
        sa.Column("wall_time_s", sa.Double(), nullable=True, comment="Time in the engine, in s"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "max_force_ev_per_a >= 0", name=op.f("ck_simulation_results_max_force_ev_per_a")
        ),
        sa.CheckConstraint("volume_a3 > 0", name=op.f("ck_simulation_results_volume_a3")),
        sa.CheckConstraint("wall_time_s >= 0", name=op.f("ck_simulation_results_wall_time_s")),
        sa.ForeignKeyConstraint(
            ["output_structure_id"],
            ["structures.id"],
            name=op.f("fk_simulation_results_output_structure_id_structures"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["simulation_job_id"],
            ["simulation_jobs.id"],
            name=op.f("fk_simulation_results_simulation_job_id_simulation_jobs"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simulation_results")),
        sa.UniqueConstraint(
            "simulation_job_id", name=op.f("uq_simulation_results_simulation_job_id")
        ),
        comment="Simulation outputs",
    )
    op.create_index(
        op.f("ix_simulation_results_method_sha256"),
        "simulation_results",
        ["method_sha256"],
        unique=False,
    )
    op.create_index(
        op.f("ix_simulation_results_output_structure_id"),
        "simulation_results",
        ["output_structure_id"],
        unique=False,
    )


def downgrade() -> None:
    """Drop the eight tables, their indexes with them."""
    op.drop_table("simulation_results")
    op.drop_table("vector_embeddings")
    op.drop_table("structure_similarities")
    op.drop_table("simulation_jobs")
    op.drop_table("structures")
    op.drop_table("materials")
    op.drop_table("workflow_templates")
    op.drop_table("users")
