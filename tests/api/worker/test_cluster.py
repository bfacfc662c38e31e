"""The description of a cluster: what it means, and that what is wrong in it is told all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.errors import WrongUsage
from api.worker.cluster import Cluster, read_cluster

LEAST = 'folder = "/scratch/nano-os"\ncores_per_node = 64\n'


def described(tmp_path: Path, text: str) -> Cluster:
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    return read_cluster(file)


def test_the_least_is_a_folder_and_the_cores_of_a_node(tmp_path: Path) -> None:
    cluster = described(tmp_path, LEAST)
    assert (cluster.wall_time_s, cluster.max_allocations, cluster.jobs_per_node) == (3600, 1, 64)


def test_jobs_share_a_node_by_their_cores(tmp_path: Path) -> None:
    assert described(tmp_path, LEAST + "cores_per_job = 12").jobs_per_node == 5


@pytest.mark.parametrize(
    ("text", "wall_time_s"),
    [("00:30:00", 1800), ("48:00:00", 172_800), ("2-00:00:01", 172_801)],
)
def test_wall_times_are_written_as_for_slurm(tmp_path: Path, text: str, wall_time_s: int) -> None:
    assert described(tmp_path, f'{LEAST}wall_time = "{text}"').wall_time_s == wall_time_s


def test_the_launcher_is_filled_in(tmp_path: Path) -> None:
    cluster = described(tmp_path, LEAST)
    words = ("srun", "--nodes=2", "--ntasks=8", "--nodelist=n1,n2")
    assert cluster.launch_words(nodes=2, ranks=8, hosts="n1,n2") == words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cores_per_node = 4", "folder: Field required"),
        ('folder = "here"\ncores_per_node = 4', "folder: must begin with /"),
        (LEAST + 'wall_time = "1h"', "wall_time: write"),
        (LEAST + 'wall_time = "00:00:00"', "wall_time: Input should be greater than 0"),
        (LEAST + "cores_per_job = 65", "cores_per_job: more than cores_per_node"),
        (LEAST + 'options = ["-p long"]', "options.0: write"),
        (LEAST + 'launcher = "mpirun {slots}"', "launcher: only {nodes}, {ranks} and {hosts}"),
        (LEAST + 'partitoin = "long"', "partitoin: Extra inputs are not permitted"),
        (LEAST + "nodes = ", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(WrongUsage) as raised:
        described(tmp_path, text)
    assert told in str(raised.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as raised:
        described(tmp_path, 'folder = "here"\nnodes = 0')
    for named in ("folder", "nodes", "cores_per_node"):
        assert f"\n  {named}: " in str(raised.value)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="No such file"):
        read_cluster(tmp_path / "none.toml")
