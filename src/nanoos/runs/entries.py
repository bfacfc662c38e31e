"""JSON with results of databases: pymatgen's computed entries, the Materials Project, OPTIMADE.

Each entry is a run of one step, with as much of the method as the entry says. Its energy is what
the code gave; what a database adds to that is kept apart in ``extra``, and so are its formation
energies and distances from the hull, which follow from all the entries that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ase.data import atomic_numbers

from nanoos.errors import ParseError
from nanoos.methods import Method, Potential, functional_name
from nanoos.parsers import Parsed, Rejected, Source
from nanoos.parsers.optimade_json import OptimadeJson
from nanoos.parsers.pymatgen_json import PymatgenJson
from nanoos.runs.run import Run, RunFolder, Step

_HEAD_BYTES = 20_000
_BLOCK_BYTES = 1024**2
_RESULT = re.compile(
    rb'"(?:energy|uncorrected_energy_per_atom|_alexandria_energy|_oqmd_delta_e|_mp_stability)"'
    rb"\s*:\s*[-\d{]"
)
_KINDS = (PymatgenJson, OptimadeJson)
_FUNCTIONALS = {"GGA": "PBE", "GGA_U": "PBE", "GGA+U": "PBE"}
"""``run_type`` of the Materials Project → functional; the others have their usual names."""
_F_BLOCK = frozenset([*range(57, 72), *range(89, 104)])
_P_BLOCK = frozenset(
    [*range(5, 11), *range(13, 19), *range(31, 37), *range(49, 55), *range(81, 87)]
)
_TITLE = re.compile(r"\S+\s+([A-Z][a-z]?)")


@dataclass(frozen=True)
class _Fields:
    """The names of a provider's own fields in OPTIMADE; energies in eV for the cell."""

    energy: str | None = None
    functional: str | None = None
    band_gap: str | None = None
    magnetization: str | None = None


PROVIDERS = {
    "alexandria": _Fields(
        *("_alexandria_energy", "_alexandria_xc_functional"),
        *("_alexandria_band_gap", "_alexandria_magnetization"),
    ),
    "oqmd": _Fields(band_gap="_oqmd_band_gap"),
    "mp": _Fields(),
}
"""Providers with results; OQMD and the Materials Project give no total energies there."""


class Entries:
    """The reader of entries with results."""

    name = "entries"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each file that holds entries with results."""
        return folder.each(lambda source: _kind_of(source) is not None and _has_results(source))

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield a step and a run for each entry that has a structure and a result.

        Raises ParseError at the end when entries were left out, or when there was none.
        """
        ((name, source),) = run.files.items()
        kind = _kind_of(source)
        parsed = kind().parse(source) if kind else iter(())
        rejected: list[Rejected] = []
        place = 0
        for place, one in enumerate(parsed, 1):
            if isinstance(one, Rejected):
                rejected.append(one)
            elif (found := _result_of(one, kind is OptimadeJson, place)) is not None:
                step, result = found
                result = replace(result, method=_told_apart(result.method, source.sha256))
                yield step
                yield _run(run.name, one, result, {name: source.sha256})
        if rejected or not place:
            first = f", the first because: {rejected[0].error}" if rejected else ""
            raise ParseError(f"{len(rejected)} of {place} entries are left out{first}")


def _kind_of(source: Source) -> type[PymatgenJson] | type[OptimadeJson] | None:
    head = source.head(_HEAD_BYTES)
    return next((kind for kind in _KINDS if kind().recognises(head, "")), None)


def _has_results(source: Source) -> bool:
    """Tell whether a result is named anywhere in a file."""
    with source.open() as stream:
        tail = b""
        while block := stream.read(_BLOCK_BYTES):
            if _RESULT.search(tail + block):
                return True
            tail = block[-100:]
    return False


@dataclass(frozen=True)
class _Result:
    """What an entry says beside its step, with ours for names."""

    method: Method
    parameters: dict[str, Any]
    band_gap_ev: float | None
    is_gap_direct: bool | None
    fermi_energy_ev: float | None
    total_magnetization_mu_b: float | None
    extra: dict[str, Any]


def _result_of(parsed: Parsed, is_optimade: bool, place: int) -> tuple[Step, _Result] | None:
    """Return step and result of an entry; None of one that has neither energy nor gap."""
    energy, result = (_of_provider if is_optimade else _of_pymatgen)(parsed)
    if energy is None and result is None:
        return None
    assert result is not None  # noqa: S101 - it comes with every energy
    return Step(structure=parsed.structure, energy_ev=energy, place=place), result


def _of_pymatgen(parsed: Parsed) -> tuple[float | None, _Result | None]:
    extra = dict(parsed.extra)
    energy = _number(extra.pop("calculation", {}).get("energy_ev"))
    n = parsed.structure.n_sites
    raw, corrected = (
        _number(extra.get(name)) for name in ("uncorrected_energy_per_atom", "energy_per_atom")
    )
    if energy is None and raw is not None:
        energy = raw * n
        if corrected is not None:
            extra["correction"] = (corrected - raw) * n
    if energy is None:
        return None, None
    parameters = extra.pop("parameters", {})
    parameters = parameters if isinstance(parameters, dict) else {}
    kept = {"correction_ev" if key == "correction" else key: extra[key] for key in extra}
    direct = extra.get("is_gap_direct")
    return energy, _Result(
        method=_method(parameters, {one.name for one in parsed.structure.species}),
        parameters=parameters,
        band_gap_ev=_number(extra.get("band_gap")),
        is_gap_direct=direct if isinstance(direct, bool) else None,
        fermi_energy_ev=_number(extra.get("efermi")),
        total_magnetization_mu_b=_number(extra.get("total_magnetization")),
        extra=kept,
    )


def _of_provider(parsed: Parsed) -> tuple[float | None, _Result | None]:
    """Return what OPTIMADE's entry of a provider that is known says, a functional at most."""
    names = {key[1:].partition("_")[0] for key in parsed.extra if key.startswith("_")}
    provider = next((one for one in PROVIDERS if one in names), None)
    if provider is None:
        return None, None
    fields = PROVIDERS[provider]
    energy, gap, magnetization = (
        _number(parsed.extra.get(name or ""))
        for name in (fields.energy, fields.band_gap, fields.magnetization)
    )
    functional = parsed.extra.get(fields.functional or "")
    return energy, _Result(
        method=Method(
            code="VASP",
            functional=_functional(functional) if isinstance(functional, str) else None,
            further={"database": provider},
        ),
        parameters={},
        band_gap_ev=gap,
        is_gap_direct=None,
        fermi_energy_ev=None,
        total_magnetization_mu_b=magnetization,
        extra=dict(parsed.extra),
    )


def _told_apart(method: Method, sha256: str) -> Method:
    """Return a method that is the file's alone where the entry does not say the functional."""
    if method.functional:
        return method
    return replace(method, further={**method.further, "file_sha256": sha256})


def _run(name: str, parsed: Parsed, result: _Result, files: Mapping[str, str]) -> Run:
    return Run(
        name=f"{name}/{parsed.name}" if parsed.name else name,
        method=result.method,
        task="other",
        end="finished",
        parameters=result.parameters,
        band_gap_ev=result.band_gap_ev,
        is_gap_direct=result.is_gap_direct,
        fermi_energy_ev=result.fermi_energy_ev,
        total_magnetization_mu_b=result.total_magnetization_mu_b,
        extra=result.extra,
        files=files,
    )


def _method(parameters: Mapping[str, Any], elements: set[str]) -> Method:
    """Return what ``parameters`` of an entry say, as the Materials Project fills them.

    The shell that U is on is not said: it is f for lanthanides and actinides, p in the p-block,
    d for all others.
    """
    run_type = parameters.get("run_type")
    hubbards = parameters.get("hubbards")
    code = parameters.get("software") or parameters.get("code")
    return Method(
        code=code if isinstance(code, str) else "VASP",
        functional=_functional(run_type) if isinstance(run_type, str) else None,
        hubbard_ev={
            f"{element} {_shell(element)}": u
            for element, value in (hubbards if isinstance(hubbards, dict) else {}).items()
            if element in elements and (u := _number(value))
        },
        potentials=tuple(sorted(_potentials(parameters), key=lambda one: (one.element, one.title))),
    )


def _functional(run_type: str) -> str:
    name = run_type.strip()
    return _FUNCTIONALS.get(name.upper(), functional_name(name))


def _shell(element: str) -> str:
    number = atomic_numbers.get(element, 0)
    return "f" if number in _F_BLOCK else "p" if number in _P_BLOCK else "d"


def _potentials(parameters: Mapping[str, Any]) -> set[Potential]:
    """Return the potentials by their titles; the hashes of pymatgen are of another kind."""
    specs, symbols = parameters.get("potcar_spec"), parameters.get("potcar_symbols")
    titles = [one.get("titel") for one in specs or () if isinstance(one, dict)] if specs else []
    titles = titles or (symbols if isinstance(symbols, list) else [])
    found = ((title, _TITLE.match(title)) for title in titles if isinstance(title, str))
    return {Potential(match[1], title) for title, match in found if match}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool else None
