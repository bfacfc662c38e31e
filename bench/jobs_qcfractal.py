"""QCFractal's claim: tasks given to its managers by its own socket, without HTTP, and not ended.

Runs in an environment of its own; prints one JSON document for ``bench/jobs.py``. Each process is
a manager of its own and claims what a batch of our workers is. Nothing is calculated or returned:
what a task costs when it ends is not in the figure.

Run: python bench/jobs_qcfractal.py URL COUNT PROCESSES BATCH
"""

from __future__ import annotations

import json
import sys
import tempfile
import uuid
from typing import Any

from import_qcfractal import configured
from qcfractal.db_socket import SQLAlchemySocket
from qcportal.managers import ManagerName
from qcportal.molecules import Molecule
from qcportal.record_models import PriorityEnum
from qcportal.singlepoint import QCSpecification
from together import took_s

PROGRAMS = {"qcengine": ["unknown"], "psi4": ["unknown"]}


def work(ready: Any, url: str, batch: int) -> None:
    """Claim tasks as a manager until none is left."""
    with tempfile.TemporaryDirectory() as folder:
        socket = SQLAlchemySocket(configured(url, folder))
        name = ManagerName(cluster="bench", hostname="here", uuid=str(uuid.uuid4()))
        socket.managers.activate(name, "0.71", None, PROGRAMS, ["*"])
        ready.wait()
        while socket.tasks.claim_tasks(name.fullname, PROGRAMS, ["*"], limit=batch):
            pass


def main(url: str, count: int, processes: int, batch: int) -> None:
    """Print how many tasks were claimed, and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        config = configured(url, folder)
        SQLAlchemySocket.create_database_tables(config.database)
        socket = SQLAlchemySocket(config)
        molecules = [
            Molecule(symbols=["He", "He"], geometry=[[0, 0, 0], [0, 0, 4 + n / 1000]])
            for n in range(count)
        ]
        wanted = QCSpecification(program="psi4", driver="energy", method="hf", basis="sto-3g")
        socket.records.singlepoint.add(
            molecules, wanted, "*", PriorityEnum.normal, None, find_existing=False
        )
    print(json.dumps({"done": count, "s": took_s(work, processes, url, batch)}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
