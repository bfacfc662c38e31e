#!/usr/bin/env bash
# Records a filled database of each revision that has none: releases/<revision>.dump. Run once for
# each revision, by `make release`, with the code that the revision came with. Of several that came
# together, the last is filled by that code; the others, which no code was released with, have
# what the database before them turns into.
set -euo pipefail
PATH=$PWD/.venv/bin:$PATH
cd "$(dirname "$0")"
home=$(mktemp -d)
chmod 711 "$home"
export NANO_OS_POSTGRES_MAJOR=16 # what the oldest server writes, all can load
unset DATABASE_URL
trap 'rm -rf "$home"' EXIT

export NANO_OS_HOME=$home/between
revisions=(../../../alembic/versions/*.py)
before=
for file in "${revisions[@]::${#revisions[@]}-1}"; do
    revision=$(basename "$file" .py)
    if [ ! -e "$revision.dump" ]; then
        nano-os db load "$before.dump" --replace
        alembic -c ../../../alembic.ini upgrade "$revision"
        nano-os db dump "$revision.dump"
    fi
    before=$revision
done

export NANO_OS_HOME=$home/head
(cd "$home" && nano-os demo)
NANO_OS_PASSWORD=$(head -c 18 /dev/urandom | base64) \
    nano-os users create ada --email ada@example.org --role admin
copper=$(nano-os db sql -t "SELECT id FROM structures WHERE name = 'Copper' LIMIT 1")
nano-os jobs submit equation_of_state "$copper" --param points_per_side=2 # one that waits
revision=$(nano-os db sql -t "SELECT version_num FROM alembic_version")
nano-os db dump "$revision.dump"
