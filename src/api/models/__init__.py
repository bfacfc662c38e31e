"""The tables of the platform, one a file; all are imported here so that Alembic sees them."""

from api.models.base import Base
from api.models.citation import Citation
from api.models.material import Material
from api.models.method import Method
from api.models.simulation_attempt import SimulationAttempt
from api.models.simulation_dependency import SimulationDependency
from api.models.simulation_job import SimulationJob
from api.models.simulation_result import SimulationResult
from api.models.structure import Structure
from api.models.structure_similarity import StructureSimilarity
from api.models.structure_source import StructureSource
from api.models.user import User
from api.models.vector_embedding import VectorEmbedding
from api.models.worker import Worker
from api.models.workflow_template import WorkflowTemplate

__all__ = [
    "Base",
    "Citation",
    "Material",
    "Method",
    "SimulationAttempt",
    "SimulationDependency",
    "SimulationJob",
    "SimulationResult",
    "Structure",
    "StructureSimilarity",
    "StructureSource",
    "User",
    "VectorEmbedding",
    "Worker",
    "WorkflowTemplate",
]
