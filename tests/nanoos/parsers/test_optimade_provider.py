"""Structures of another provider, asked over HTTP on this machine."""

import gzip
import json
import socket
import tracemalloc
from urllib.parse import parse_qs, urlsplit

import pytest

from nanoos.parsers import Parsed, Source, Unfound, find, read_source
from nanoos.parsers.optimade_provider import pages
from recorded_provider import Answer, provider


def ask(argument, waits_s=(0.0, 0.0)):
    """Return the structures and what was amiss."""
    structures, amiss = [], []
    for one in pages(argument, waits_s):
        if isinstance(one, Source):
            structures += [found for found in read_source(one) if isinstance(found, Parsed)]
        else:
            amiss.append(str(one.error))
    return structures, amiss


def once(path, *answers):
    """Say these answers to the first requests of a path."""
    left = list(answers)

    def says(asked):
        return left.pop(0) if left and urlsplit(asked).path == path else None

    return says


def asked_for(path):
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def test_every_page_is_read_with_licence_and_publication():
    with provider() as running:
        found = list(find([f'optimade:{running.url}?elements HAS "O" AND nelements<3']))
    names = [one.name.rpartition("#")[2] for one in found]
    assert names == ["1", "2", "3"]
    structures = [parsed for source in found for parsed in read_source(source)]
    assert len({parsed.extra["database_code"] for parsed in structures}) == 7
    for parsed in structures:
        assert (parsed.extra["database"], parsed.extra["licence"]) == ("exmpl", "MIT")
        assert parsed.extra["citation"]["authors"]
    first = asked_for(running.asked[2])
    assert first["filter"] == 'elements HAS "O" AND nelements<3'
    assert "assemblies" in first["response_fields"].split(",")
    assert "site_coordinate_span" not in first["response_fields"]  # the provider knows it not


@pytest.mark.parametrize(
    ("behind", "parameters"),
    [
        ("", {}),
        ("/v1", {}),
        ("/v1/structures/", {}),
        ("?nelements=2", {"filter": "nelements=2"}),
        ("?elements%20HAS%20%22O%22", {"filter": 'elements HAS "O"'}),
        ("/v1/structures?filter=nelements%3D2&page_limit=3",
         {"filter": "nelements=2", "page_limit": "3"}),
    ],
)  # fmt: skip
def test_address_may_be_written_in_any_way(behind, parameters):
    with provider() as running:
        structures, amiss = ask(f"optimade:{running.url}{behind}")
    assert len(structures) == 7
    assert not amiss
    asked = asked_for(running.asked[2])
    assert urlsplit(running.asked[2]).path == "/v1/structures"
    assert {name: asked[name] for name in asked if name != "response_fields"} == parameters


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("optimade:", "no http or https address"),
        ("optimade:ftp://example.org", "no http or https address"),
        ("optimade:file:///etc/passwd", "no http or https address"),
        ("optimade:http://", "no http or https address"),
        ("optimade:http://[::1", "no http or https address"),
        ("optimade:http://me:secret@localhost", "user name or password"),
        ("optimade:http://localhost?filter=a=1&page_offset=3", "page_offset is none of"),
    ],
)
def test_address_that_is_none_is_refused_unasked(argument, message):
    (found,) = pages(argument)
    assert isinstance(found, Unfound)
    assert message in str(found.error)


def test_provider_that_is_busy_is_asked_again_and_that_is_told(caplog):
    busy = Answer(b"", 429, (("Retry-After", "0"),)), Answer(b"", 503)
    with provider(once("/v1/structures", *busy)) as running:
        structures, amiss = ask(f"optimade:{running.url}", waits_s=(0.0, 0.0))
    assert len(structures) == 7
    assert not amiss
    assert [record.getMessage() for record in caplog.records] == [
        "The provider does not answer: HTTP 429. Next try in 0 s.",
        "The provider does not answer: HTTP 503. Next try in 0 s.",
    ]


def test_provider_that_stays_busy_is_given_up_after_what_it_gave():
    with provider() as running:
        running.says = lambda path: Answer(b"", 502) if "page_offset=6" in path else None
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 6
    assert amiss == ["The provider does not answer: HTTP 502. Try again later."]
    assert sum("page_offset=6" in path for path in running.asked) == 3


@pytest.mark.parametrize(
    ("host", "cause"), [("127.0.0.1", "Connection refused"), ("nowhere.invalid", "")]
)
def test_provider_that_is_not_there_is_told_at_once(host, cause, caplog):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    structures, (said,) = ask(f"optimade:http://{host}:{port}")
    assert not structures
    assert said.startswith(f"{host}:{port} cannot be reached: {cause}")
    assert "Check the address" in said
    assert not caplog.records  # it was asked once


def test_provider_that_goes_away_on_the_way_is_asked_again(caplog):
    with provider() as running:
        pages_of = pages(f"optimade:{running.url}", (0.0,))
        assert isinstance(next(pages_of), Source)
        running.server.server_close()
        running.server.shutdown()
        (away,) = pages_of
    assert str(away.error).startswith("The provider does not answer: ")
    assert len(caplog.records) == 1


def test_what_a_provider_objects_to_is_handed_on():
    refusal = json.dumps({"errors": [{"detail": "Unknown property colour."}]}).encode()
    with provider(once("/v1/structures", Answer(refusal, 400))) as running:
        _, amiss = ask(f'optimade:{running.url}?colour="red"')
    assert amiss == ["The provider refuses (HTTP 400): Unknown property colour."]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(b"<html>Not found</html>", 404), "refuses (HTTP 404): no OPTIMADE database"),
        (Answer(b"<html>Hello</html>"), "answer cannot be read: The JSON is broken"),
        (Answer(b"[1]"), "no response of OPTIMADE"),
        (Answer(b'{"data": null}'), "There is no OPTIMADE database at"),
        (Answer(b'{"data": {"attributes": {"is_index": true}}}'), "an index of databases"),
        (Answer(b"[" * 5000 + b"]" * 5000), "nested more than"),
        (Answer(b'{"x": NaN}'), "NaN is no JSON number"),
        (Answer(b"\xff\xfe{}"), "not UTF-8"),
    ],
)
def test_what_is_no_provider_is_told(answer, message):
    with provider(once("/v1/info", answer)) as running:
        structures, amiss = ask(f"optimade:{running.url}")
    assert not structures
    assert message in amiss[0]


def test_page_larger_than_any_is_refused_before_it_fills_the_memory():
    bomb = gzip.compress(b" " * (101 * 1024**2), 1)
    answer = Answer(bomb, 200, (("Content-Encoding", "gzip"),))
    with provider(once("/v1/structures", answer)) as running:
        _, amiss = ask(f"optimade:{running.url}")
    assert amiss == ["A page is larger than 100 MB. Ask for fewer: page_limit=10."]


def test_page_is_uncompressed_in_small_steps():
    bomb = gzip.compress(gzip.compress(b" " * (64 * 1024**2), 1))
    answer = Answer(bomb, 200, (("Content-Encoding", "gzip, gzip"),))
    with provider(once("/v1/structures", answer)) as running:
        tracemalloc.start()
        _, amiss = ask(f"optimade:{running.url}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert amiss == ["The provider's answer is compressed by gzip, gzip, not gzip."]
    assert peak < 20 * 1024**2


@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        ("br", b"\x0b\x02\x80{}\x03", "compressed by br, not gzip"),
        ("gzip", gzip.compress(b'{"data": []}' * 1000, mtime=0)[:-9], "damaged or cut short"),
    ],
)
def test_page_that_cannot_be_uncompressed_is_told(code, body, message):
    answer = Answer(body, 200, (("Content-Encoding", code),))
    with provider(once("/v1/structures", answer)) as running:
        structures, amiss = ask(f"optimade:{running.url}")
    assert not structures
    assert message in amiss[0]


def test_delay_of_any_number_of_digits_is_a_number():
    def later(document):
        document["meta"]["request_delay"] = int("9" * 400)

    with provider() as running:
        last = running.changed("/v1/structures?page_offset=6", later)
        running.says = lambda path: last if "page_offset=6" in path else None
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 7
    assert not amiss


def test_provider_that_compresses_though_asked_not_to_is_read():
    with provider() as running:
        recorded = running.recorded("/v1/structures?page_offset=6").body
        answer = Answer(gzip.compress(recorded), 200, (("Content-Encoding", "gzip"),))
        running.says = lambda path: answer if "page_offset=6" in path else None
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 7
    assert not amiss


def test_redirect_to_the_same_host_is_followed():
    with provider() as running:
        target = f"{running.url}/v1/info"
        running.says = once("/v1/info", Answer(b"", 301, (("Location", target),)))
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 7
    assert not amiss


@pytest.mark.parametrize(
    "target",
    ["http://example.org/v1/info", "file:///etc/passwd", "//example.org", "http://127.0.0.1:1/"],
)
def test_redirect_elsewhere_is_not_followed(target):
    with provider(once("/v1/info", Answer(b"", 302, (("Location", target),)))) as running:
        _, amiss = ask(f"optimade:{running.url}")
    assert f"The provider leads to {target}, which is not where it was asked" in amiss[0]
    assert running.asked == ["/v1/info"]


def test_redirects_without_end_are_not_followed():
    with provider() as running:
        answer = Answer(b"", 302, (("Location", f"{running.url}/v1/info"),))
        running.says = lambda _: answer
        _, amiss = ask(f"optimade:{running.url}")
    assert amiss == ["The provider redirects without end."]


def relinked(running, link, offset="page_offset=3"):
    """Make the page say that the next one is elsewhere."""
    running.says = lambda path: (
        running.changed(path, lambda page: page["links"].update(next=link))
        if offset in path
        else None
    )


@pytest.mark.parametrize("as_object", [False, True])
def test_links_may_be_relative_or_objects(as_object):
    with provider() as running:
        link = "/v1/structures?page_offset=6"
        relinked(running, {"href": link} if as_object else link)
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 7
    assert not amiss


def test_link_of_a_provider_behind_a_proxy_is_set_right():
    with provider() as running:
        port = running.server.server_port
        relinked(running, f"https://127.0.0.1:{port}/v1/structures?page_offset=6")
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 7
    assert not amiss


@pytest.mark.parametrize("link", ["http://example.org/v1/structures", "gopher://127.0.0.1/x"])
def test_link_elsewhere_is_not_followed(link):
    with provider() as running:
        relinked(running, link)
        structures, amiss = ask(f"optimade:{running.url}")
    assert len(structures) == 6
    assert "which is not where it was asked" in amiss[0]


def test_links_in_a_circle_are_left():
    with provider() as running:
        relinked(running, "/v1/structures?page_offset=3")
        structures, amiss = ask(f"optimade:{running.url}")
    assert amiss == ["The provider's links go round in a circle."]
    assert len(structures) <= 9


def test_empty_pages_are_passed_over_but_not_for_ever():
    def says(path):
        number = int(asked_for(path).get("n", "0"))
        if urlsplit(path).path != "/v1/structures":
            return None
        page = {"data": [], "links": {"next": f"/v1/structures?n={number + 1}"}}
        return Answer(json.dumps(page).encode())

    with provider(says) as running:
        structures, amiss = ask(f"optimade:{running.url}")
    assert not structures
    assert amiss == ["The provider gives one empty page after another."]
    assert len(running.asked) < 20


def test_filter_that_nothing_matches():
    nothing = Answer(b'{"data": [], "meta": {"more_data_available": false}, "links": {}}')
    with provider(once("/v1/structures", nothing)) as running:
        _, amiss = ask(f"optimade:{running.url}?nelements=99")
    assert amiss == ["The provider has no structure that matches."]


def test_rest_that_is_kept_back_is_told():
    with provider() as running:
        relinked(running, None)
        _, amiss = ask(f"optimade:{running.url}")
    assert amiss == ["The provider has more, but gives no link to it."]


def test_name_of_a_page_stays_short_whatever_the_filter():
    with provider() as running:
        long = " OR ".join(["nelements=2"] * 100)
        names = [one.name for one in pages(f"optimade:{running.url}?{long}")]
    assert all(len(name.encode()) < 255 for name in names)
    assert asked_for(running.asked[2])["filter"] == long
