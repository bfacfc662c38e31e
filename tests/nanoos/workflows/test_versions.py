"""A workflow whose parameters change has a new version: databases keep those of the former."""

import hashlib
import json

from nanoos import plugins

RECORDED = {
    ("convergence", "1"): "f6ec56b3e6e94baa",
    ("elastic", "1"): "e2d587d8032eee5f",
    ("elastic", "2"): "690eee2a3b3068ce",
    ("equation_of_state", "1"): "cfc2bf3d1cac7b4e",
    ("phonons", "1"): "1b2ce063fb0c254b",
    ("properties", "1"): "59d1ca0905aaf862",
    ("properties", "2"): "6d5d27dbcb05f102",
    ("relax", "1"): "d8a9f68aabf72d9b",
    ("single_point", "1"): "a69744ed9843f67a",
}
"""The hash of each version's parameters, those of its steps included: add rows, change none."""


def test_changed_parameters_have_a_new_version():
    found = {}
    for workflow in plugins.load("nanoos.workflows").values():
        schema = json.dumps(workflow.parameters.model_json_schema(), sort_keys=True)
        digest = hashlib.sha256(schema.encode()).hexdigest()
        found[workflow.name, workflow.version] = digest[:16]
    assert found == {key: RECORDED.get(key) for key in found}
