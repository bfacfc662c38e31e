"""Whose job is next: the heads of the owners' queues, in turn.

`CLAIM` and `CLAIM_LEFT` take them for a worker, skipping what others have locked; :limit is how
many, :engines whose (NULL: all). If :idle is 1, not 0, a job that workers died of comes before all
others, and then alone. They read as many index entries as there are owners and jobs to take,
however long the queue is. docs/jobs.md says what fair means.
"""

# ruff: noqa: S608 - of constants alone

from __future__ import annotations

from sqlalchemy import text

from api.models.simulation_job import CLAIMABLE, DEATHS_BEFORE_ALONE

_MINE = f"{CLAIMABLE} AND worker_deaths < {DEATHS_BEFORE_ALONE}"
_ENGINES = "(CAST(:engines AS text[]) IS NULL OR engine = ANY(CAST(:engines AS text[])))"

# A queue is an owner's jobs with one engine: the index leaps from each to the next.
_QUEUES = f"""
WITH RECURSIVE leap AS (
    (SELECT owner_id, engine FROM simulation_jobs WHERE {_MINE}
     ORDER BY owner_id, engine LIMIT 1)
    UNION ALL
    SELECT next.* FROM leap, LATERAL (
        SELECT owner_id, engine FROM simulation_jobs
        WHERE {_MINE} AND (owner_id, engine) > (leap.owner_id, leap.engine)
        ORDER BY owner_id, engine LIMIT 1) AS next),
queue AS (SELECT * FROM leap WHERE {_ENGINES})
"""
_HEAD = f"""
SELECT id, due_at FROM simulation_jobs AS job
WHERE {_MINE} AND job.owner_id = queue.owner_id AND job.engine = queue.engine
ORDER BY due_at, id
"""

_SHARES = f"""
{_QUEUES},
alone AS MATERIALIZED (
    SELECT id FROM simulation_jobs
    WHERE {CLAIMABLE} AND worker_deaths >= {DEATHS_BEFORE_ALONE} AND {_ENGINES}
    ORDER BY due_at, id LIMIT CAST(:idle AS integer) FOR UPDATE SKIP LOCKED),
-- Counted once for all: jobs start and end so often that the index is full of what has ended.
busy AS MATERIALIZED (
    SELECT owner_id, count(*) AS running FROM simulation_jobs
    WHERE status = 'running' GROUP BY owner_id),
owner AS MATERIALIZED (
    SELECT owner_id, coalesce(running, 0) AS running,
           (SELECT started_at FROM simulation_jobs AS job
            WHERE job.owner_id = one.owner_id AND started_at IS NOT NULL
            ORDER BY started_at DESC LIMIT 1) AS last_start
    FROM (SELECT DISTINCT owner_id FROM queue) AS one LEFT JOIN busy USING (owner_id)),
head AS (
    SELECT owner_id, engine, due_at, id,
           row_number() OVER (PARTITION BY owner_id ORDER BY due_at, id) AS place
    FROM queue, LATERAL ({_HEAD} LIMIT :limit) AS job),
share AS (
    SELECT owner_id, engine, count(*) AS jobs
    FROM (SELECT head.owner_id, engine FROM head JOIN owner USING (owner_id)
          ORDER BY running + place, last_start NULLS FIRST, due_at, id LIMIT :limit) AS next
    WHERE NOT EXISTS (SELECT FROM alone)
    GROUP BY owner_id, engine),
mine AS (
    SELECT job.id FROM share AS queue,
           LATERAL ({_HEAD} LIMIT queue.jobs FOR UPDATE SKIP LOCKED) AS job
    LIMIT :limit), -- as the sum of all shares is, but the planner cannot know
due AS (SELECT id FROM alone UNION ALL SELECT id FROM mine)
"""

_LEFT = f"""
{_QUEUES},
due AS (
    SELECT job.id FROM queue, LATERAL ({_HEAD} LIMIT :limit FOR UPDATE SKIP LOCKED) AS job
    LIMIT :limit)
"""

_TAKE = f"""
UPDATE simulation_jobs AS job
SET status = 'running', attempt = attempt + 1, worker = :worker,
    lease_until = now() + make_interval(secs => :lease_s), heartbeat_at = now(),
    started_at = now(), progress = 0, progress_message = NULL, live = NULL,
    error = NULL, error_type = NULL
FROM due, workflow_templates AS template, structures AS structure
WHERE job.id = due.id AND template.id = job.workflow_template_id
  AND structure.id = job.structure_id
RETURNING job.id, job.attempt, job.engine, job.parameters, job.engine_parameters,
          job.resources, job.wall_time_limit_s, job.memory_limit_mb, job.structure_id, job.owner_id,
          template.name AS workflow, template.version AS workflow_version,
          worker_deaths >= {DEATHS_BEFORE_ALONE} AS is_alone,
          structure.name AS structure_name, fingerprint, visibility, lattice_a, positions_a,
          species, species_at_sites, dimension_types
"""

CLAIM = text(_SHARES + _TAKE)
CLAIM_LEFT = text(_LEFT + _TAKE)
"""Of any owner, where shares do not fill the limit."""
