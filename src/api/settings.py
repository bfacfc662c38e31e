"""Settings of the platform, from the environment and the ``.env`` beside ``alembic.ini``.

``DATABASE_URL`` is not here: ``pgsteady.url`` is its only resolver.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Self

import platformdirs
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Where ``alembic.ini`` and ``.env`` lie."""


class Settings(BaseSettings):
    """Each field is read from the environment variable ``NANO_OS_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix="NANO_OS_", env_file=PROJECT_ROOT / ".env", extra="ignore"
    )

    home: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("nano-os"),
        description="Folder of the embedded database, and of what has no other place.",
    )
    artifacts: str = Field(
        default="",
        description="Where artifacts lie: a folder, or a URL of fsspec such as s3://bucket/nano-os;"
        " empty: artifacts in NANO_OS_HOME.",
    )
    postgres_major: int = Field(
        default=18, description="Major version of a newly made embedded database: 16 or 18."
    )
    pool_size: int = Field(
        default=5, ge=1, description="Connections that one process keeps to the database."
    )
    lease_s: int = Field(
        default=60,
        ge=2,
        description="Seconds without a heartbeat after which a job may be claimed by another "
        "worker.",
    )
    poll_s: float = Field(
        default=5.0, gt=0, description="Seconds between a worker's looks at the queue when idle."
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        description="Tries of a job that may end with an error that passes, such as a crash.",
    )
    retry_after_s: float = Field(
        default=10.0,
        ge=0,
        description="Seconds until the next try after the first such error; twice as many after "
        "each further one.",
    )
    max_worker_deaths: int = Field(
        default=5,
        ge=1,
        description="Times a worker may die or fall silent at a job before the job fails.",
    )
    optimade_prefix: str = Field(
        default="nanoos",
        pattern=r"^[a-z][a-z0-9]*$",
        description="What names of our own OPTIMADE properties begin with, between underscores.",
    )
    optimade_provider: str = Field(
        default="NANO-OS", description="Who provides the database, as OPTIMADE clients show it."
    )
    optimade_description: str = Field(
        default="Structures published by the users of this NANO-OS.",
        description="What the database holds, as OPTIMADE clients show it.",
    )
    optimade_base_url: str = Field(
        default="",
        description="URL below which OPTIMADE is reached, without its version; empty: as the "
        "request says.",
    )
    optimade_page_limit: int = Field(
        default=500, ge=1, description="Most entries of one page of an OPTIMADE answer."
    )
    optimade_timeout_s: float = Field(
        default=10.0, gt=0, description="Seconds after which an OPTIMADE query is stopped."
    )

    @model_validator(mode="after")
    def _artifacts_at_home(self) -> Self:
        if not self.artifacts:
            self.artifacts = str(self.home.expanduser().absolute() / "artifacts")
        return self


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings, read once per process."""
    return Settings()
