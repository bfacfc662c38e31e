"""The description of a cluster: what is asked of Slurm, and what its jobs get there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from api.errors import WrongUsage

_TIME = re.compile(r"(?:(?P<d>\d+)-)?(?P<h>\d+):(?P<m>[0-5]\d):(?P<s>[0-5]\d)")


def _seconds(given: object) -> int:
    """Read a time as Slurm writes it, ``[days-]hours:minutes:seconds``."""
    found = _TIME.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise ValueError('write "hours:minutes:seconds" or "days-hours:minutes:seconds"')
    days, *rest = (int(found[part] or 0) for part in "dhms")
    return ((days * 24 + rest[0]) * 60 + rest[1]) * 60 + rest[2]


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute():
        raise ValueError("must begin with /: compute nodes are to find it, too")
    return folder


def _option(option: str) -> str:
    if not option.startswith("--") or "\n" in option:
        raise ValueError(f'write "--name=value" as for sbatch, not {option!r}')
    return option


Time = Annotated[int, BeforeValidator(_seconds), Field(gt=0)]


class Cluster(BaseModel):
    """What a file says of a cluster; ``docs/cluster.md`` explains each entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Annotated[Path, AfterValidator(_absolute)] = Field(
        description="On a disk that login and compute nodes share; jobs work below it."
    )
    partition: str | None = Field(None, description="Where allocations are asked for.")
    account: str | None = Field(None, description="Who pays.")
    wall_time_s: Time = Field(
        3600, alias="wall_time", description='Of one allocation, as "hours:minutes:seconds".'
    )
    max_allocations: int = Field(1, ge=1, description="At once; as many as jobs need.")
    nodes: int = Field(1, ge=1, description="Of one allocation.")
    cores_per_node: int = Field(ge=1, description="That an allocation gets of each node.")
    memory_gb_per_node: int | None = Field(None, ge=1, description="In GB; none: as Slurm gives.")
    exclusive: bool = Field(False, description="Nodes that no other user shares.")
    options: tuple[Annotated[str, AfterValidator(_option)], ...] = Field(
        (), description='Further ones of sbatch: "--constraint=skylake".'
    )
    setup: tuple[str, ...] = Field(
        (), description='Commands run first on the nodes: "module load quantum-espresso".'
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="Variables that jobs see there."
    )
    python: str | None = Field(None, description="Of the nodes; none: the worker's own.")
    address: str | None = Field(
        None, description="Of the login node as nodes reach it; none: all are tried."
    )
    cores_per_job: int = Field(1, ge=1, description="Jobs that one node runs at once follow.")
    launcher: str = Field(
        "srun --nodes={nodes} --ntasks={ranks} --nodelist={hosts}",
        description="What starts the ranks of a parallel program.",
    )
    idle_s: float = Field(60.0, ge=0, description="After which an allocation is given back, in s.")
    silence_s: int = Field(
        30, ge=4, description="Without a word, after which a node is given up, in s."
    )
    poll_s: float = Field(10.0, gt=0, description="Between looks at Slurm's queue, in s.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.cores_per_job > self.cores_per_node:
            raise ValueError("cores_per_job: more than cores_per_node")
        try:
            self.launch_words(nodes=1, ranks=1, hosts="node")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"launcher: only {{nodes}}, {{ranks}} and {{hosts}} are filled in ({error})"
            ) from None
        return self

    @property
    def jobs_per_node(self) -> int:
        """How many jobs share a node."""
        return self.cores_per_node // self.cores_per_job

    def launch_words(self, *, nodes: int, ranks: int, hosts: str) -> tuple[str, ...]:
        """Return the words before a parallel program's command; ``hosts`` has commas between."""
        filled = self.launcher.format(nodes=nodes, ranks=ranks, hosts=hosts)
        return tuple(filled.split())


def read_cluster(file: Path) -> Cluster:
    """Return the cluster that a TOML file describes.

    Raises WrongUsage where it cannot be read, or an entry is unknown, missing or wrong; all are
    named.
    """
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(f"{file} cannot be read: {error}") from None
    try:
        return Cluster.model_validate(given)
    except ValidationError as error:
        faults = "".join(f"\n  {_fault(fault['loc'], fault['msg'])}" for fault in error.errors())
        known = ", ".join(field.alias or name for name, field in Cluster.model_fields.items())
        raise WrongUsage(f"{file} describes no cluster:{faults}\nIt may say: {known}.") from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{'.'.join(map(str, place))}: {message}" if place else message
