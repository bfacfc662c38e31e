"""QCFractal's add: structures stored by its own socket, which has no HTTP to go through.

Runs in an environment of its own; prints one JSON document for ``bench/import.py``. Its molecules
know no cell, so 2 to 8 atoms each are all they hold; formula and hash are made by it. Its tables
are made beside ours, in the database that is named: it is used for nothing else.

Run: python bench/import_qcfractal.py URL COUNT
"""

from __future__ import annotations

import json
import logging
import random
import sys
import tempfile
import time

from qcfractal.components.auth.db_models import UserORM  # noqa: F401 - the models have to be known
from qcfractal.config import FractalConfig, read_configuration
from qcfractal.db_socket import SQLAlchemySocket
from qcportal.molecules import Molecule

BATCH = 1_000


def main(url: str, count: int) -> None:
    """Store molecules, and print how many and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        config = configured(url, folder)
        SQLAlchemySocket.create_database_tables(config.database)
        socket = SQLAlchemySocket(config)
        molecules = [molecule(seed) for seed in range(count)]
        began = time.perf_counter()
        for first in range(0, count, BATCH):
            socket.molecules.add(molecules[first : first + BATCH])
        print(json.dumps({"stored": count, "s": time.perf_counter() - began}))


def configured(url: str, folder: str) -> FractalConfig:
    """Return the configuration of a silent server on this database."""
    logging.disable()
    secret = "of-this-run-only-" * 3
    settings = {
        "name": "bench",
        "base_folder": folder,
        "database": {"full_uri": url, "username": "", "password": "", "own": False},
        "api": {"secret_key": secret, "jwt_secret_key": secret},
        "loglevel": "ERROR",
    }
    return read_configuration([], settings)


def molecule(seed: int) -> Molecule:
    """Return some atoms on a line, as far apart as no others."""
    chosen = random.Random(seed)
    symbols = chosen.choices(["Si", "O", "Al", "Mg", "Ca"], k=chosen.randint(2, 8))
    geometry = [[4.0 * k + chosen.random(), 0.0, 0.0] for k in range(len(symbols))]
    return Molecule(symbols=symbols, geometry=geometry)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
