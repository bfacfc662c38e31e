import bz2
import gzip
import hashlib
import io
import lzma
import pickle
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nanoos.errors import ParseError
from nanoos.parsers import Source, compression, read
from nanoos.parsers.source import MAX_LINE_BYTES, SMALL_BYTES

COMPRESS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}
every_compression = pytest.mark.parametrize("suffix", COMPRESS)


def content(source):
    with source.open() as stream:
        return stream.read()


@every_compression
@given(data=st.binary(max_size=5000), parts=st.integers(1, 3))
def test_compressed_content_is_read_whole(suffix, data, parts):
    compressed = COMPRESS[suffix](data) * parts  # one frame after another is one file
    source = Source(f"x.cif.{suffix}", data=compressed)
    assert content(source) == data * parts
    assert source.head(100) == (data * parts)[:100]
    assert source.sha256 == hashlib.sha256(data * parts).hexdigest()
    assert source.filename == "x.cif"


@every_compression
def test_compression_is_told_by_content_not_by_name(suffix, tmp_path):
    path = tmp_path / "copper.xyz"
    path.write_bytes(COMPRESS[suffix](b"1\n\nCu 0 0 0\n"))
    (parsed,) = read(path)
    assert parsed.structure.symbols == ["Cu"]
    assert parsed.name == "copper"


def test_text_that_is_not_compressed_may_be_called_so():
    assert Source("x.cif.gz", data=b"data_x").text == "data_x"


@every_compression
def test_large_content_streams(suffix):
    data = bytes(range(256)) * 20_000
    source = Source("x", data=COMPRESS[suffix](data))
    with source.open() as stream:
        assert b"".join(iter(lambda: stream.read(70_001), b"")) == data


@every_compression
def test_damaged_and_truncated_content_is_an_error_never_a_shorter_file(suffix):
    compressed = COMPRESS[suffix](b"".join(b"%d\n" % (i * i) for i in range(50_000)))
    for cut in range(20, len(compressed), len(compressed) // 50):
        with pytest.raises(ParseError, match=r"damaged or cut short"):
            content(Source("x", data=compressed[:cut]))
    middle = len(compressed) // 2
    damaged = compressed[:middle] + bytes(99) + compressed[middle + 99 :]
    with pytest.raises(ParseError, match="damaged or cut short"):
        Source("x", data=damaged).sha256  # noqa: B018
    with pytest.raises(ParseError, match="damaged or cut short"):
        content(Source("x", data=compressed + b"garbage"))


@every_compression
def test_bomb_is_refused_in_constant_memory(suffix, monkeypatch):
    monkeypatch.setattr(compression, "EXPANSION_FREE_BYTES", 4 * 1024**2)
    bomb = Source("x.xyz", data=COMPRESS[suffix](bytes(64 * 1024**2)))
    tracemalloc.start()
    with pytest.raises(ParseError, match="300-fold"):
        bomb.sha256  # noqa: B018
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 * 1024**2


def test_size_is_limited_whatever_the_ratio(monkeypatch):
    monkeypatch.setattr(compression, "MAX_UNCOMPRESSED_BYTES", 1024**2)
    with pytest.raises(ParseError, match="larger than"):
        Source("x", data=gzip.compress(bytes(2 * 1024**2))).sha256  # noqa: B018


def test_xz_file_that_asks_for_too_much_memory_is_refused():
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]
    data = lzma.compress(b"data_x", filters=filters)
    with pytest.raises(ParseError, match=r"[Mm]emory"):
        content(Source("x", data=data))


def test_local_path_is_the_file_itself_or_a_copy_that_ends(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"plain")
    with Source("x.db", path).local_path() as local:
        assert local == path
    assert path.exists()
    path.write_bytes(gzip.compress(b"plain"))
    for source in (Source("x.db", path), Source("../../x.db", data=b"plain")):
        with source.local_path() as local:
            assert local.read_bytes() == b"plain"
            assert "x.db" not in local.name
        assert not local.exists()


def test_source_is_pickled_without_what_was_read(tmp_path):
    path = tmp_path / "x.cif"
    path.write_text("data_x" * 10_000)
    source = Source("x.cif", path)
    assert len(source.text) == 60_000
    assert len(pickle.dumps(source)) < 300
    assert pickle.loads(pickle.dumps(source)).text == source.text


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"))))
def test_lines_are_those_of_the_text_whatever_ends_them(lines):
    if not any(line.strip() for line in lines) or lines[0].startswith("\ufeff"):
        return
    for end in ("\n", "\r\n", "\r"):
        for start in ("", "\ufeff"):
            source = Source.of_text(start + end.join([*lines, ""]))
            assert list(source.lines()) in (lines, [*lines, ""])


def test_lines_stream(tmp_path):
    path = tmp_path / "long.xyz"
    with path.open("w") as file:
        for _ in range(300):
            file.write("word " * 20_000 + "\n")
    tracemalloc.start()
    assert sum(1 for _ in Source("long.xyz", path).lines()) == 300
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 1024**2


def test_line_without_end_is_refused_early(tmp_path):
    path = tmp_path / "one_line.xyz"
    with path.open("wb") as file:
        file.write(b"1\n")
        file.seek(1024**3)
        file.write(b"\n")
    with pytest.raises(ParseError, match="longer than 10 MB") as caught:
        list(Source("one_line.xyz", path).lines())
    assert caught.value.line == 2
    assert list(Source.of_text("x" * MAX_LINE_BYTES).lines()) == ["x" * MAX_LINE_BYTES]


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"1\n\nCu 0 0 \xff\n", 3, "not UTF-8"),
        (b"1\nM\0\n", None, "binary"),
        (b"\n \n\t\n", None, "empty"),
        (b"", None, "empty"),
    ],
)
def test_lines_that_are_no_text_are_refused_with_their_number(data, line, message):
    with pytest.raises(ParseError, match=message) as caught:
        list(Source("x", data=data).lines())
    assert caught.value.line == line


def test_stream_is_kept_in_memory_or_in_a_file_that_can_be_discarded():
    small = Source.of_stream(io.BytesIO(bytes(SMALL_BYTES)), "x")
    assert small.data == bytes(SMALL_BYTES)
    large = Source.of_stream(io.BytesIO(bytes(SMALL_BYTES + 1)), "x")
    assert large.path.stat().st_size == SMALL_BYTES + 1
    large.discard()
    assert not large.path.exists()
    large.discard()


def test_only_temporary_files_are_discarded(tmp_path):
    path = tmp_path / "x"
    path.touch()
    Source("x", path).discard()
    assert path.exists()


def test_temporary_folder_without_room_is_a_clear_error(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    class NoRoom:
        def __init__(self, dir, delete):
            self.name = dir + "/none"

        def __enter__(self):
            full = Full()
            full.name = self.name
            return full

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("tempfile.NamedTemporaryFile", NoRoom)
    with pytest.raises(ParseError, match=r"No space left on device.*TMPDIR"):
        Source.of_stream(io.BytesIO(bytes(SMALL_BYTES + 1)), "x")
