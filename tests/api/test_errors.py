"""What errors mean outside: each class of ours is mapped on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.errors import ENVIRONMENT, FAILURE, OUTCOMES, USAGE, PlatformError, outcome
from nanoos.errors import NanoError
from pgsteady.cli.app import exit_code
from pgsteady.errors import EnvironmentFault, PgSteadyError


def descendants(class_: type[Exception]) -> Iterator[type[Exception]]:
    for below in class_.__subclasses__():
        if below.__module__.endswith(".errors"):  # not those that tests make
            yield below
            yield from descendants(below)


@pytest.mark.parametrize("class_", sorted(descendants(NanoError), key=lambda c: c.__name__))
def test_every_error_is_mapped_by_more_than_the_root(class_: type[Exception]) -> None:
    roots = {NanoError, PgSteadyError, PlatformError, Exception, BaseException, object}
    assert any(one in OUTCOMES for one in set(class_.__mro__) - roots) or class_ in OUTCOMES


def test_exit_codes_and_statuses_go_together() -> None:
    for class_, meaning in OUTCOMES.items():
        assert meaning.exit_code in {FAILURE, USAGE, ENVIRONMENT}
        assert 400 <= meaning.http_status < 600
        if issubclass(class_, EnvironmentFault):
            assert meaning.exit_code == ENVIRONMENT
            assert meaning.http_status in {500, 503}


def test_both_programs_exit_with_the_same_code() -> None:
    for class_, meaning in OUTCOMES.items():
        if issubclass(class_, PgSteadyError):
            assert exit_code(class_()) == meaning.exit_code, class_.__name__


def test_the_closest_class_decides() -> None:
    class Local(EnvironmentFault):
        """Made here."""

    assert outcome(Local()) == OUTCOMES[EnvironmentFault]
    assert outcome(ValueError()).http_status == 500


@pytest.mark.parametrize("class_", OUTCOMES, ids=lambda class_: class_.__name__)
def test_the_default_message_is_one_plain_sentence(class_: type[Exception]) -> None:
    message = str(class_())
    assert message
    assert "\n" not in message
