import logging
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from nanoos import plugins
from nanoos.errors import PluginNotFound

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def foreign(monkeypatch):
    """Install entry points as another package would."""

    def install(*entries):
        real = plugins.entry_points
        monkeypatch.setattr(
            plugins,
            "entry_points",
            lambda group: [*real(group=group), *(e for e in entries if e.group == group)],
        )
        plugins.load.cache_clear()

    yield install
    plugins.load.cache_clear()


def test_built_in_table_repeats_the_entry_points():
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]
    assert {g: dict(t) for g, t in plugins.BUILT_IN.items()} == declared


@pytest.mark.parametrize("group", plugins.BUILT_IN)
def test_built_in_plugins_load_without_an_installed_project(group, monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    plugins.load.cache_clear()
    assert set(plugins.load(group)) == set(plugins.BUILT_IN[group])
    plugins.load.cache_clear()


def test_unknown_name_lists_what_there_is():
    with pytest.raises(PluginNotFound, match=r"no parser 'cube'.*cif"):
        plugins.get("nanoos.parsers", "cube")


def test_foreign_plugin_joins(foreign):
    foreign(EntryPoint("ordered", "collections:OrderedDict", "nanoos.parsers"))
    assert plugins.get("nanoos.parsers", "ordered").__name__ == "OrderedDict"


@pytest.mark.parametrize("value", ["no_such_module:X", "collections:NoSuch", "this:s.x.y"])
def test_broken_plugin_takes_nothing_down(foreign, caplog, value):
    foreign(EntryPoint("broken", value, "nanoos.parsers"))
    with caplog.at_level(logging.WARNING):
        assert set(plugins.load("nanoos.parsers")) == set(plugins.BUILT_IN["nanoos.parsers"])
    assert "Plug-in broken of nanoos.parsers does not load" in caplog.text
    with pytest.raises(PluginNotFound, match="installed but does not load"):
        plugins.get("nanoos.parsers", "broken")


def test_foreign_plugin_cannot_replace_a_built_in_one(foreign, caplog):
    foreign(EntryPoint("cif", "collections:OrderedDict", "nanoos.parsers"))
    assert plugins.get("nanoos.parsers", "cif").__name__ == "Cif"
    assert "the name is taken" in caplog.text
