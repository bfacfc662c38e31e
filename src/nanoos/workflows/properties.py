"""The properties of a crystal where it is relaxed: elastic, vibrational, under pressure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from nanoos.workflows.composite import Step
from nanoos.workflows.descent import RelaxParameters
from nanoos.workflows.elastic import ElasticParameters
from nanoos.workflows.equation_of_state import EquationOfStateParameters
from nanoos.workflows.phonons import PhononsParameters


class PropertiesParameters(BaseModel):
    """Those of each step; the relaxation is closer than by itself, as the others build on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    relax: RelaxParameters = Field(
        default=RelaxParameters(fmax=0.001, smax=0.01),
        description="Of the relaxation (units: its own).",
    )
    elastic: ElasticParameters = Field(
        default=ElasticParameters(), description="Of the elastic constants (units: its own)."
    )
    phonons: PhononsParameters = Field(
        default=PhononsParameters(), description="Of the phonons (units: its own)."
    )
    equation_of_state: EquationOfStateParameters = Field(
        default=EquationOfStateParameters(),
        description="Of the equation of state (units: its own).",
    )


class Properties:
    """Relax a crystal, then find elastic constants, phonons and equation of state there."""

    name = "properties"
    version = "2"  # 1 had no symmetry in elastic
    title = "Relaxation, then elastic constants, phonons and equation of state"
    parameters = PropertiesParameters
    default_engine = "emt"

    def steps(self, parameters: PropertiesParameters) -> tuple[Step, ...]:
        """Return the relaxation and the three that take its structure."""
        return (
            Step("relax", parameters.relax.model_dump(mode="json")),
            *(
                Step(name, getattr(parameters, name).model_dump(mode="json"), "relax")
                for name in ("elastic", "phonons", "equation_of_state")
            ),
        )
