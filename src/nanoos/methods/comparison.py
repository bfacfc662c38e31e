"""Which methods' energies may be compared, and what each difference of two methods breaks.

Comparability is symmetric and holds of a method with itself, but it is not transitive: oxygen
without U goes with Fe2O3 with and without U on iron, which do not go with each other. So a set of
methods is comparable when every two of it are. The tolerances, and why they are what they are:
docs/adr/0027-methods-and-comparability.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from nanoos.canonical import canonical_json
from nanoos.methods.document import canonical
from nanoos.methods.method import Method

Level = Literal["exact", "comparable", "same functional"]
"""What two methods have in common: all; enough to subtract energies; what physics they put in."""

SAME_CUTOFF = 0.005
"""Cutoffs that differ by this share or less count as one."""
FINE_K_SPACING_PER_A = 0.5
"""Meshes as dense as this count as converged."""
SAME_K_SPACING = 1.25
"""Coarser meshes whose distances have at most this ratio count as one: they are of integers."""
NARROW_SMEARING_EV = 0.2
"""Widths up to this count as extrapolated away."""
NARROW_FERMI_DIRAC_EV = 0.1
"""The same for Fermi–Dirac, whose tails are longer."""
EXTRAPOLATING = frozenset({"CASTEP", "FHI-aims", "GPAW", "VASP"})
"""Programs whose energy is extrapolated to zero width."""
NARROW_FREE_ENERGY_EV = 0.03
"""Widths of Gaussian and Fermi–Dirac smearing up to this hardly change the energy of others."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which two methods differ.

    ``breaks`` is the loosest level that it breaks, and with it the stricter ones: a difference
    that breaks ``exact`` alone leaves energies comparable. ``reason`` says why in words.
    """

    what: str
    one: Any
    other: Any
    breaks: Level
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {_said(self.one)} and {_said(self.other)} ({self.reason})"


def differences(one: Method, other: Method) -> list[Difference]:
    """Return all that differs, the loosest level that is broken first; nothing: they are one."""
    return _differences(canonical(one), canonical(other))


def level(one: Method, other: Method) -> Level | None:
    """Return the strictest level that two methods share; None where not even the functional."""
    broken = {difference.breaks for difference in differences(one, other)}
    if "same functional" in broken:
        return None
    if "comparable" in broken:
        return "same functional"
    return "comparable" if broken else "exact"


def comparable(one: Method, other: Method) -> bool:
    """Say whether energies of the two may be subtracted from each other."""
    return _go_together(canonical(one), canonical(other))


def comparable_groups(methods: Sequence[Method]) -> list[list[int]]:
    """Return groups of methods, by their places, within which energies may be combined.

    In every group every two methods are comparable, and none of the rest is so with all of it.
    Every method is in one at least; one that goes with several, such as oxygen with iron of
    two values of U, is in each of them. The earlier a method stands, the earlier it is chosen, and
    so is the group that has it.
    """
    written = [canonical(method) for method in methods]
    known = [_facets(method) for method in written]
    kin: dict[str, list[int]] = defaultdict(list)  # of others, none can be comparable
    for place, method in enumerate(written):
        kin[_kind(method)].append(place)
    groups: list[list[int]] = []
    grouped: set[int] = set()
    for places in kin.values():
        for first in places:
            if first in grouped:
                continue
            group: list[int] = []
            found: dict[str, set[_Facet]] = defaultdict(set)
            for place in [first, *(place for place in places if place != first)]:
                if all(_agree(one, two) for one in known[place] for two in found[one.element]):
                    group.append(place)
                    for facet in known[place]:
                        found[facet.element].add(facet)
            groups.append(sorted(group))
            grouped.update(group)
    return sorted(groups)


@dataclass(frozen=True, slots=True)
class _Facet:
    """What a method says of one element, or of all (""); many methods share it.

    Methods are comparable when what they say of all is so, and of each element of both. The
    facets of a thousand methods are few, so few pairs are compared.
    """

    element: str
    written: str
    method: Method = field(compare=False, repr=False)


def _facets(method: Method) -> list[_Facet]:
    """Return what a canonical method says of all, and of each element."""
    of_all = replace(method, potentials=(), hubbard_ev={})
    facets = [_Facet("", repr(of_all), of_all)]
    for element in sorted(_known_elements(method)) if method.potentials else ():
        potentials = tuple(each for each in method.potentials if each.element == element)
        u = _by_element(method).get(element, {})
        part = Method(code=method.code, potentials=potentials, hubbard_ev=u)
        facets.append(_Facet(element, repr(part), part))
    return facets


def _kind(method: Method) -> str:
    """Return what must be equal for two methods to be comparable at all."""
    u = None if method.potentials else method.hubbard_ev
    kind = [method.code, method.functional, method.dispersion, bool(method.potentials), u]
    return canonical_json(kind)


@lru_cache(maxsize=20_000)
def _agree(one: _Facet, two: _Facet) -> bool:
    a, b = one.method, two.method
    found = _element(a, b, one.element) if one.element else _differences(a, b)
    return all(difference.breaks == "exact" for difference in found)


def _go_together(a: Method, b: Method) -> bool:
    return all(difference.breaks == "exact" for difference in _differences(a, b))


def _differences(a: Method, b: Method) -> list[Difference]:
    """Return what differs in two canonical methods."""
    found = [*_programs(a, b), *_physics(a, b), *_elements(a, b), *_numerics(a, b), *_further(a, b)]
    return sorted(found, key=lambda difference: _ORDER.index(difference.breaks))


_ORDER: tuple[Level, ...] = ("same functional", "comparable", "exact")


def _programs(a: Method, b: Method) -> Iterator[Difference]:
    if a.code != b.code:
        reason = "each program counts energies from a zero of its own"
        yield Difference("code", a.code, b.code, "comparable", reason)
    elif a.code_version != b.code_version:
        reason = "versions of one program are taken to agree"
        yield Difference("code_version", a.code_version, b.code_version, "exact", reason)


def _physics(a: Method, b: Method) -> Iterator[Difference]:
    if a.functional != b.functional:
        reason = "another functional is another energy"
        yield Difference("functional", a.functional, b.functional, "same functional", reason)
    if a.dispersion != b.dispersion:
        reason = "a dispersion correction adds to the energy"
        yield Difference("dispersion", a.dispersion, b.dispersion, "same functional", reason)
    if a.spin != b.spin:
        reason = "without moments both give the same energy"
        yield Difference("spin", a.spin, b.spin, "exact", reason)
    if a.spin_orbit != b.spin_orbit:
        broken: Level = "comparable" if bool(a.spin_orbit) != bool(b.spin_orbit) else "exact"
        reason = "spin-orbit coupling lowers heavy elements' energies"
        if broken == "exact":
            reason = "not asked for is without"
        yield Difference("spin_orbit", a.spin_orbit, b.spin_orbit, broken, reason)
    if a.relativistic != b.relativistic:
        broken, reason = "comparable", "it shifts the energies of the core"
        if a.relativistic is None or b.relativistic is None:
            broken, reason = "exact", "only one says it; the potentials settle it"
        yield Difference("relativistic", a.relativistic, b.relativistic, broken, reason)


def _elements(a: Method, b: Method) -> Iterator[Difference]:
    """Yield what differs in U and potentials, of which only common elements matter."""
    if bool(a.potentials) != bool(b.potentials):
        titles = [", ".join(each.title for each in method.potentials) or None for method in (a, b)]
        reason = "only one says which it used"
        yield Difference("potentials", titles[0], titles[1], "comparable", reason)
    for element in sorted(_known_elements(a) | _known_elements(b)):
        yield from _element(a, b, element)


def _element(a: Method, b: Method, element: str) -> Iterator[Difference]:
    u, v = (_by_element(method).get(element) for method in (a, b))
    if u != v and _may_have(a, element) and _may_have(b, element):
        reason = f"U shifts the energy of {element}"
        yield Difference(f"U of {element} (eV)", u, v, "same functional", reason)
    elif u != v:
        yield Difference(f"U of {element} (eV)", u, v, "exact", f"only one has {element}")
    if bool(a.potentials) == bool(b.potentials):
        yield from _potentials(a, b, element)


def _known_elements(method: Method) -> set[str]:
    return {each.element for each in method.potentials} | {*_by_element(method)}


def _by_element(method: Method) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for site, u in method.hubbard_ev.items():
        found.setdefault(site.partition(" ")[0], {})[site] = u
    return found


def _may_have(method: Method, element: str) -> bool:
    """Say whether the element is in what was calculated; where no potentials are known, it may."""
    return element in _known_elements(method) or not method.potentials


def _potentials(a: Method, b: Method, element: str) -> Iterator[Difference]:
    ours, theirs = (
        [each for each in method.potentials if each.element == element] for method in (a, b)
    )
    if ours == theirs:
        return
    titles = [", ".join(each.title for each in some) or None for some in (ours, theirs)]
    hashed = all(each.sha256 for each in (*ours, *theirs))
    broken: Level = "exact"
    if not (ours and theirs):
        reason = f"only one has {element}"
    elif hashed and {each.sha256 for each in ours} == {each.sha256 for each in theirs}:
        reason = "one content under two titles"
    elif not hashed and {each.title for each in ours} == {each.title for each in theirs}:
        reason = "only one knows the content"
    else:
        broken, reason = "comparable", f"{element} counts from another zero"
        if titles[0] == titles[1]:
            reason = f"one title, two contents: {reason}"
    yield Difference(f"potential of {element}", titles[0], titles[1], broken, reason)


def _numerics(a: Method, b: Method) -> Iterator[Difference]:
    yield from _cutoffs("cutoff_ev", a.cutoff_ev, b.cutoff_ev, unknown="comparable")
    yield from _cutoffs(
        "density_cutoff_ev", a.density_cutoff_ev, b.density_cutoff_ev, unknown="exact"
    )
    if a.k_spacing_per_a != b.k_spacing_per_a:
        broken, reason = _k_spacings(a.k_spacing_per_a, b.k_spacing_per_a)
        yield Difference("k_spacing_per_a", a.k_spacing_per_a, b.k_spacing_per_a, broken, reason)
    smearings = [(each.smearing, each.smearing_width_ev) for each in (a, b)]
    if smearings[0] != smearings[1]:
        broken, reason = "exact", "narrow enough to be extrapolated away"
        if not all(map(_is_narrow, (a, b))):
            broken, reason = "comparable", "too wide to be extrapolated away"
            if a.code == b.code and a.code not in EXTRAPOLATING:
                reason = f"too wide for {a.code}, which extrapolates nothing"
        said = [" ".join(str(x) for x in each if x is not None) or None for each in smearings]
        yield Difference("smearing (eV)", said[0], said[1], broken, reason)


def _cutoffs(
    what: str, one: float | None, other: float | None, *, unknown: Level
) -> Iterator[Difference]:
    if one == other:
        return
    if one is None or other is None:
        yield Difference(what, one, other, unknown, "only one says it")
    elif abs(one - other) <= SAME_CUTOFF * max(one, other):
        yield Difference(what, one, other, "exact", "as good as equal")
    else:
        reason = "the error of a cutoff cancels against the same one only"
        yield Difference(what, one, other, "comparable", reason)


def _k_spacings(one: float | None, other: float | None) -> tuple[Level, str]:
    if one is None or other is None:
        return "exact", "a molecule has no k-points, or only one says it"
    if max(one, other) <= FINE_K_SPACING_PER_A:
        return "exact", "both are dense"
    if max(one, other) <= SAME_K_SPACING * min(one, other):
        return "exact", "as equal as meshes of integers can be"
    return "comparable", f"not both are at most {FINE_K_SPACING_PER_A} 1/Å"


def _is_narrow(method: Method) -> bool:
    kind, width_ev = method.smearing, method.smearing_width_ev
    if kind in {None, "fixed", "tetrahedron"} or width_ev is None:
        return True
    if kind in {"gaussian", "fermi-dirac"} and method.code not in EXTRAPOLATING:
        return width_ev <= NARROW_FREE_ENERGY_EV
    return width_ev <= (NARROW_FERMI_DIRAC_EV if kind == "fermi-dirac" else NARROW_SMEARING_EV)


def _further(a: Method, b: Method) -> Iterator[Difference]:
    for name in sorted({*a.further, *b.further}):
        one, other = a.further.get(name), b.further.get(name)
        if canonical_json(one) != canonical_json(other):  # in Python, 1 is True
            yield Difference(name, one, other, "comparable", "it changes energies")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return "not said" if value is None else str(value)
