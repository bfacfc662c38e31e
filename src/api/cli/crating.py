"""``nano-os results crate``: results as a research object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, out, print_json
from api.cli.result_filters import All, Ids, chosen, with_result_filters

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.crate import Packed
    from api.models import User
    from api.schemas.results import ResultQuery


@with_result_filters
def crate(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.zip", help="The archive to write.")
    ],
    query: ResultQuery,
    ids: Ids = None,
    all_: All = False,
    licence_: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="SPDX", help="Of the crate; else that which all structures state."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write results as an RO-Crate: inputs, numbers, files, provenance, licence and citations."""
    from api.artifacts import Artifacts
    from api.crate import packed, write
    from api.services import licences
    from api.settings import settings

    wanted = chosen(query, ids, all_=all_)
    licence = None if licence_ is None else licences.licence(licence_)
    artifacts = Artifacts(settings().artifacts)

    async def read(session: AsyncSession, owner: User) -> list[Packed]:
        return await packed(session, wanted, owner)

    found = in_transaction(read)
    write(output, found, artifacts, licence)
    if json:
        print_json({"file": str(output), "results": len(found)})
    else:
        out.print(f"[green]{len(found)} written[/] to ", end="")
        out.print(str(output), markup=False)
