#!/usr/bin/env bash
# Records a filled database at head: releases/<revision>.dump. Run once for each revision,
# by `make release`, with the code that the revision came with.
set -euo pipefail
PATH=$PWD/.venv/bin:$PATH
cd "$(dirname "$0")"
home=$(mktemp -d)
chmod 711 "$home"
export NANO_OS_HOME=$home NANO_OS_POSTGRES_MAJOR=16 # what the oldest server writes, all can load
unset DATABASE_URL
trap 'rm -rf "$home"' EXIT

(cd "$home" && nano-os demo)
NANO_OS_PASSWORD=$(head -c 18 /dev/urandom | base64) \
    nano-os users create ada --email ada@example.org --role admin
copper=$(nano-os db sql -t "SELECT id FROM structures WHERE name = 'Copper' LIMIT 1")
nano-os jobs submit equation_of_state "$copper" --param points_per_side=2 # one that waits
revision=$(nano-os db sql -t "SELECT version_num FROM alembic_version")
nano-os db dump "$revision.dump"
