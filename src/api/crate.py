"""Results as a research object: RO-Crate 1.1, profile Process Run Crate 0.5.

https://www.researchobject.org/ro-crate/specification/1.1 and
https://www.researchobject.org/workflow-run-crate/profiles/process_run_crate. A crate is a ZIP
archive; each result is an action, with the engine as its instrument, the input structure and the
parameters as its objects, and the numbers, the last structure and the artifacts as what came of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.errors import NotFound
from api.models import User
from api.schemas.results import ResultQuery
from api.schemas.simulation import ResultDetail
from api.services import arrays, records, result_search, results
from api.services.result_records import PRIVATE
from nanoos.writers import Record, TextWriter
from nanoos.writers.extxyz import ExtendedXyzWriter
from nanoos.writers.files import write_blocks
from nanoos.writers.jsonl import JsonLinesWriter, plain

CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
]
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
METADATA = "ro-crate-metadata.json"
_BLOCK_BYTES = 1024**2

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """A result that goes into a crate: its structures, and the name of who calculated it."""

    detail: ResultDetail
    initial: Record | None
    final: Record | None
    agent: str


@dataclass
class _Crate:
    """The archive that is being written, and what is said of its content."""

    archive: ZipFile
    entities: dict[str, Entity] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def mention(self, id_: str, kind: str, **said: Any) -> dict[str, str]:
        """Describe something once; return the reference to it."""
        known = {name: value for name, value in said.items() if value not in (None, "", [])}
        self.entities.setdefault(id_, {"@id": id_, "@type": kind, **known})
        return {"@id": id_}

    def add(self, name: str, blocks: Iterator[bytes], media_type: str, title: str) -> Entity:
        """Write a file, and describe it with size and hash."""
        digest, size = hashlib.sha256(), 0
        with self.archive.open(name, "w", force_zip64=True) as stream:
            for block in blocks:
                digest.update(block)
                size += len(block)
                stream.write(block)
        self.files.append(name)
        return self.mention(
            name,
            "File",
            name=title,
            encodingFormat=media_type,
            contentSize=str(size),
            sha256=digest.hexdigest(),
        )


async def packed(session: AsyncSession, query: ResultQuery, owner: User) -> list[Packed]:
    """Return the results that a query finds, with their structures. Raises NotFound for none."""
    await result_search.check(session, query)
    found: list[Packed] = []
    async for ids in result_search.stream(session, query):
        for id_ in ids:
            detail = await results.show(session, id_)
            initial, final = [
                await _record(session, structure)
                for structure in (detail.structure_id, detail.output_structure_id)
            ]
            found.append(Packed(detail, initial, final, owner.username))
    if not found:
        raise NotFound("No result matches; nothing was written.")
    return found


async def _record(session: AsyncSession, id_: UUID | None) -> Record | None:
    found = [] if id_ is None else await records.present(session, [id_])
    return found[0] if found else None


def write(
    output: Path, packed: Sequence[Packed], artifacts: Artifacts, licence: str | None = None
) -> None:
    """Write a crate of these results, whole or not at all.

    ``licence`` is that of the crate; without it, that of the structures where all state the same.
    Raises NotWritten; NotFound and ArtifactDamaged where an artifact is not what it was.
    """
    with TemporaryFile() as stream:
        with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
            crate = _Crate(archive)
            actions = [_action(crate, one, artifacts) for one in packed]
            graph = [_descriptor(), _root(crate, packed, actions, licence)]
            document = {"@context": CONTEXT, "@graph": [*graph, *crate.entities.values()]}
            archive.writestr(METADATA, json.dumps(document, indent=1, ensure_ascii=False))
        stream.seek(0)
        write_blocks(output, iter(lambda: stream.read(_BLOCK_BYTES), b""))


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": {"@id": "./"},
    }


def _root(
    crate: _Crate, packed: Sequence[Packed], actions: list[Entity], licence: str | None
) -> Entity:
    formulas = sorted({one.detail.reduced_formula or "?" for one in packed})
    several = f"{len(packed)} results" if len(packed) > 1 else "A result"
    crate.mention(PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    cited = list(_citations(crate, packed))
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{several} of {', '.join(formulas[:5])}",
        "description": f"{several} with input, numbers, files and provenance, from NANO-OS.",
        "datePublished": datetime.now(UTC).date().isoformat(),
        "conformsTo": {"@id": PROFILE},
        "license": _licence(crate, packed, licence),
        "hasPart": [{"@id": name} for name in crate.files],
        "mentions": actions,
    } | ({"citation": cited} if cited else {})


def _licence(crate: _Crate, packed: Sequence[Packed], licence: str | None) -> Entity:
    stated = {record.licence for one in packed for record in (one.initial,) if record is not None}
    if licence is None and len(stated) == 1:
        licence = stated.pop()
    if licence is None:
        return crate.mention(
            "#licence",
            "CreativeWork",
            name="Not stated",
            description="Ask who made this crate before you pass it on.",
        )
    url = f"https://spdx.org/licenses/{licence}"
    return crate.mention(url, "CreativeWork", name=licence, identifier=licence)


def _citations(crate: _Crate, packed: Sequence[Packed]) -> Iterator[Entity]:
    """Yield the publications of the structures, each once."""
    seen: set[str] = set()
    for one in packed:
        citation = one.initial.citation if one.initial is not None else {}
        if not citation:
            continue
        text = json.dumps(dict(citation), sort_keys=True, default=str)
        short = hashlib.sha256(text.encode()).hexdigest()[:12]
        id_ = f"https://doi.org/{citation['doi']}" if citation.get("doi") else f"#cited-{short}"
        if id_ not in seen:
            seen.add(id_)
            yield crate.mention(
                id_,
                "ScholarlyArticle",
                name=citation.get("title") or citation.get("journal") or "Publication",
                author=[str(author) for author in citation.get("authors", [])],
                datePublished=str(citation["year"]) if citation.get("year") else None,
                isPartOf=citation.get("journal"),
            )


def _action(crate: _Crate, packed: Packed, artifacts: Artifacts) -> Entity:
    detail = packed.detail
    folder = f"results/{detail.id}/"
    given = []
    if packed.initial is not None:
        given.append(_structure(crate, f"{folder}input", packed.initial, "Input structure"))
    given += _parameters(crate, detail)
    came = [_numbers(crate, f"{folder}result.json", detail, artifacts)]
    if packed.final is not None and detail.output_structure_id is not None:
        came.append(_structure(crate, f"{folder}output", packed.final, "Last structure"))
    came += _files(crate, folder, detail, artifacts)
    provenance = detail.provenance
    work = detail.workflow or detail.convergence.get("task") or "calculation"
    return crate.mention(
        f"#{detail.id}",
        "CreateAction",
        name=f"{work} of {detail.reduced_formula or 'a structure'} with {detail.engine}",
        description=f"By the method {detail.method_sha256[:12]}; "
        f"{'converged' if detail.is_converged else 'not converged'}.",
        instrument=_instrument(crate, detail),
        agent=crate.mention(f"#{packed.agent}", "Person", name=packed.agent),
        object=given,
        result=came,
        startTime=provenance.get("started_at"),
        endTime=provenance.get("finished_at") or detail.created_at.isoformat(),
        actionStatus={"@id": "http://schema.org/CompletedActionStatus"},
    )


def _instrument(crate: _Crate, detail: ResultDetail) -> Entity:
    """Describe the program that calculated: code and version of the method."""
    method, provenance = detail.method, detail.provenance
    code = str(method.get("code") or detail.engine or "unknown")
    version = str(method.get("code_version") or provenance.get("engine_version") or "unknown")
    packages = provenance.get("packages") or {}
    return crate.mention(
        f"#{code}-{version}".replace(" ", "-"),
        "SoftwareApplication",
        name=code,
        softwareVersion=version,
        description=method.get("functional"),
        softwareRequirements=[f"{name} {version}" for name, version in sorted(packages.items())],
    )


def _parameters(crate: _Crate, detail: ResultDetail) -> Iterator[Entity]:
    """Yield the parameters of workflow and engine, each as a property with a value."""
    for kind in ("parameters", "engine_parameters"):
        for name, value in (detail.provenance.get(kind) or {}).items():
            text = value if isinstance(value, str | int | float) else json.dumps(value)
            yield crate.mention(
                f"#{detail.id}-{kind}-{name}", "PropertyValue", name=name, value=text
            )


def _structure(crate: _Crate, stem: str, record: Record, title: str) -> Entity:
    """Add a structure: extended XYZ, or JSON where sites are mixed."""
    writer: TextWriter = ExtendedXyzWriter() if record.structure.is_ordered else JsonLinesWriter()
    media_type = "chemical/x-xyz" if record.structure.is_ordered else "application/json"
    text = writer.encoder()(record).encode()
    return crate.add(f"{stem}{writer.suffixes[0]}", iter([text]), media_type, title)


def _numbers(crate: _Crate, name: str, detail: ResultDetail, artifacts: Artifacts) -> Entity:
    document: Mapping[str, Any] = detail.model_dump() | {
        "data": arrays.restore(detail.data, artifacts),
        "provenance": {k: v for k, v in detail.provenance.items() if k != PRIVATE},
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, default=plain).encode()
    return crate.add(name, iter([text]), "application/json", "Numbers, method and provenance")


def _files(
    crate: _Crate, folder: str, detail: ResultDetail, artifacts: Artifacts
) -> Iterator[Entity]:
    """Yield the artifacts; arrays that were set aside stand in the numbers already."""
    aside = {entry["artifact"] for entry in detail.data.values() if _is_aside(entry)}
    for one in detail.artifacts:
        if one["sha256"] not in aside:
            blocks = artifacts.blocks(one["sha256"])
            yield crate.add(
                f"{folder}{one['name']}", blocks, str(one["media_type"]), str(one["name"])
            )


def _is_aside(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "artifact" in entry
