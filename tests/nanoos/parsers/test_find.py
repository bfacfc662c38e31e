import io
import os
import pickle
import stat
import struct
import sys
import tarfile
import threading
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard

from nanoos.parsers import (
    Source,
    Unfound,
    archive,
    compression,
    find,
    read_source,
    zip_entries,
)
from nanoos.parsers.source import SMALL_BYTES

XYZ = b"1\n\nCu 0 0 0\n"
LARGE = XYZ * (SMALL_BYTES // len(XYZ) + 1)


def found(*arguments, **options):
    """Return name → content of what is found, and name → message of what is not."""
    sources, missing = {}, {}
    for one in find(arguments, **options):
        if isinstance(one, Unfound):
            missing[one.name] = str(one.error)
        else:
            source = pickle.loads(pickle.dumps(one))
            with source.open() as stream:
                sources[source.name] = stream.read()
            source.discard()
    return sources, missing


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


ARCHIVES = {
    "tar": tar,
    "tar.gz": lambda path, members: tar(path, members, "w:gz"),
    "tar.bz2": lambda path, members: tar(path, members, "w:bz2"),
    "tar.xz": lambda path, members: tar(path, members, "w:xz"),
    "tar.zst": lambda path, members: zstd(tar(path, members)),
    "zip": zipped,
}
every_archive = pytest.mark.parametrize("kind", ARCHIVES)


def zstd(path):
    path.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
    return path


# Files and folders


def test_files_and_folders_in_order(tmp_path):
    for name in ("b.xyz", "a.xyz", ".hidden.xyz", "deep/c.xyz", "deep/.git/d.xyz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(XYZ)
    shallow, missing = found(tmp_path)
    assert list(shallow) == [f"{tmp_path}/a.xyz", f"{tmp_path}/b.xyz"]
    assert not missing
    assert list(found(str(tmp_path), recursive=True)[0]) == [*shallow, f"{tmp_path}/deep/c.xyz"]
    assert list(found(tmp_path / "deep" / "c.xyz", tmp_path / ".hidden.xyz")[0]) == [
        f"{tmp_path}/deep/c.xyz",
        f"{tmp_path}/.hidden.xyz",
    ]


def test_links_are_followed_and_loops_end(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.xyz").write_bytes(XYZ)
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "real")
    (tmp_path / "b.xyz").symlink_to(tmp_path / "real" / "a.xyz")
    (tmp_path / "c.xyz").symlink_to(tmp_path / "nowhere")
    sources, missing = found(tmp_path, recursive=True)
    assert [Path(name).name for name in sources] == ["b.xyz", "a.xyz"]
    assert missing == {
        f"{tmp_path}/c.xyz": "The file cannot be read: No such file or directory.",
    }


def test_links_that_lead_out_of_the_folder_are_told_and_not_followed(tmp_path):
    for name in ("inside/a.xyz", "private/b.xyz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(XYZ)
    (tmp_path / "inside" / "b.xyz").symlink_to(tmp_path / "private" / "b.xyz")
    (tmp_path / "inside" / "more").symlink_to("../private")
    (tmp_path / "linked").symlink_to("inside")
    for folder in ("inside", "linked"):  # what is named itself may be a link
        sources, missing = found(tmp_path / folder, recursive=True)
        assert [Path(name).name for name in sources] == ["a.xyz"]
        assert sorted(Path(name).name for name in missing) == ["b.xyz", "more"]
        assert all("leads out of the folder" in cause for cause in missing.values())


def test_what_cannot_be_read_is_reported_and_the_rest_found(tmp_path, monkeypatch):
    for name in ("closed/a.xyz", "open/b.xyz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(XYZ)
    os.mkfifo(tmp_path / "pipe")
    listdir = os.listdir

    def guarded(path):  # root may enter any folder, so its refusal is played
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", guarded)
    sources, missing = found(tmp_path, tmp_path / "gone", "a\0b", recursive=True)
    assert list(sources) == [f"{tmp_path}/open/b.xyz"]
    assert missing[f"{tmp_path}/closed"] == "The folder cannot be read: Permission denied."
    assert missing[f"{tmp_path}/pipe"] == "It is neither a file nor a folder."
    assert "No such file" in missing[f"{tmp_path}/gone"]
    assert "null byte" in missing["a\ufffdb"]


def test_names_that_are_no_text_can_be_shown_and_the_files_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.xyz"))
    path.write_bytes(XYZ)
    assert found(tmp_path)[0] == {f"{tmp_path}/\ufffd\ufffd.xyz": XYZ}


@pytest.mark.parametrize("content", [XYZ, LARGE], ids=["small", "large"])
def test_standard_input_and_pipes(content, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert found("-") == ({"standard input": content}, {})
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content])
    writer.start()
    assert found(tmp_path / "pipe") == ({f"{tmp_path}/pipe": content}, {})
    writer.join()


def test_archive_on_standard_input(tmp_path, monkeypatch):
    data = tar(tmp_path / "x.tar", {"a.xyz": XYZ, "b.xyz": LARGE}).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert found("-")[0] == {"standard input/a.xyz": XYZ, "standard input/b.xyz": LARGE}


# Archives


@every_archive
def test_members_of_archives(kind, tmp_path):
    path = tmp_path / f"runs.{kind}"
    inner = ARCHIVES[kind](tmp_path / "inner", {"d.xyz": XYZ, "e.xyz": LARGE}).read_bytes()
    members = {"a.xyz": XYZ, "x/POSCAR": LARGE, ".b.xyz": XYZ, "__MACOSX/c": XYZ, "in": inner}
    ARCHIVES[kind](path, members)
    sources, missing = found(path)
    assert not missing
    assert sources == {
        f"{path}/a.xyz": XYZ,
        f"{path}/x/POSCAR": LARGE,
        f"{path}/in/d.xyz": XYZ,
        f"{path}/in/e.xyz": LARGE,
    }


@every_archive
def test_archive_is_told_by_content_and_its_members_are_compressed_again(kind, tmp_path):
    members = {"a.xyz.zst": zstandard.ZstdCompressor().compress(XYZ)}
    path = ARCHIVES[kind](tmp_path / "no suffix", members)
    (source,) = find([path])
    assert source.filename == "a.xyz"
    (parsed,) = read_source(source)
    assert (parsed.name, parsed.structure.symbols) == ("a", ["Cu"])


@every_archive
def test_archives_within_archives_end(kind, tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(XYZ)
    for depth in range(3):
        path = ARCHIVES[kind](tmp_path / f"{depth}.{kind}", {path.name: path.read_bytes()})
    sources, missing = found(path)
    assert not sources
    assert missing == {f"{path}/1.{kind}/0.{kind}": "It is an archive in an archive in an archive."}


@every_archive
@pytest.mark.parametrize("name", ["../a.xyz", "x/../../a.xyz", "/etc/a.xyz", "C:/a.xyz", "..\\a"])
def test_names_that_lead_out_of_the_archive_are_refused(kind, name, tmp_path):
    (tmp_path / "in").mkdir()
    path = ARCHIVES[kind](tmp_path / "in" / "x", {name: XYZ, "b.xyz": XYZ})
    sources, missing = found(path)
    assert list(sources) == [f"{path}/b.xyz"]
    ((shown, cause),) = missing.items()
    assert shown.startswith(f"{path}/")
    assert "leads out of the archive" in cause
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", "x"]


def test_links_and_devices_in_archives_are_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"a{kind.decode()}.xyz")
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        info = zipfile.ZipInfo("link.xyz")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    sources, missing = found(tmp_path)
    assert not sources
    assert len(missing) == 5
    assert all("link or a device" in cause for cause in missing.values())


def test_what_zip_files_hold_that_is_not_read_is_reported(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("lzma.xyz", XYZ, zipfile.ZIP_LZMA)
        file.writestr("encrypted.xyz", XYZ)
        file.writestr("plain.xyz", XYZ)
    data = bytearray(path.read_bytes())
    for header, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(b"encrypted", data.index(header)) - (30 if flag == 6 else 46) + flag] |= 1
    place = data.rindex(b"encrypted.xyz") - 46 + 8
    data[place] |= 1
    path.write_bytes(data)
    sources, missing = found(path)
    assert list(sources) == [f"{path}/plain.xyz"]
    assert "other than deflate" in missing[f"{path}/lzma.xyz"]
    assert "encrypted" in missing[f"{path}/encrypted.xyz"]


@every_archive
def test_broken_archive_gives_what_comes_before_the_damage(kind, tmp_path):
    noise = os.urandom(40_000)
    path = ARCHIVES[kind](tmp_path / f"x.{kind}", {f"{k}.xyz": XYZ + noise for k in range(8)})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    sources, missing = found(path)
    if kind in {"tar", "tar.gz", "zip"}:
        assert 3 <= len(sources) <= 5
    assert len(missing) == 1
    assert "damaged" in missing[str(path)]


class Pipe(io.BytesIO):
    """What a zip file is written to that cannot go back, so that sizes stand behind members."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError


@pytest.mark.parametrize("piped", [False, True])
def test_zip_file_cut_anywhere_gives_all_members_before_the_cut(tmp_path, piped):
    members = {f"{k}.xyz": XYZ * 9**k for k in range(5)}
    members |= {"wide.xyz": XYZ * 99}
    whole, ends = Pipe() if piped else io.BytesIO(), []
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            with file.open(name, "w", force_zip64=name.startswith("wide")) as member:
                member.write(content)
            ends.append(len(whole.getvalue()))
    path = tmp_path / "x.zip"
    for cut in range(5, len(whole.getvalue()), 7):
        path.write_bytes(whole.getvalue()[:cut])
        sources, missing = found(path)
        n = sum(end <= cut for end in ends)
        assert list(sources.items()) == [
            (f"{path}/{name}", content) for name, content in list(members.items())[:n]
        ]
        assert f"after {n} members" in missing[str(path)]


def test_one_damaged_member_of_a_zip_file_leaves_the_others(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.xyz": XYZ, "b.xyz": LARGE, "c.xyz": XYZ})
    data = bytearray(path.read_bytes())
    data[data.index(b"b.xyz") + 40] ^= 255
    path.write_bytes(data)
    sources, missing = found(path)
    assert list(sources) == [f"{path}/a.xyz", f"{path}/c.xyz"]
    assert "damaged" in missing[f"{path}/b.xyz"]


def test_tar_file_with_a_damaged_header_or_without_its_end_is_reported(tmp_path):
    path = tar(tmp_path / "x.tar", {"a.xyz": XYZ, "b.xyz": XYZ})
    data = path.read_bytes()
    for broken in (data[:1024] + b"?" * 512 + data[1536:], data[:2048]):
        path.write_bytes(broken)
        sources, missing = found(path)
        assert f"{path}/a.xyz" in sources
        assert "damaged or cut short after" in missing[str(path)]


def test_tar_header_that_states_an_absurd_size_takes_no_memory(tmp_path):
    path = tmp_path / "x.tar"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 * 1024**3 - 1
    good = tar(path, {"a.xyz": XYZ}).read_bytes()
    path.write_bytes(good[:1024] + info.tobuf(tarfile.GNU_FORMAT) + good[1024:])
    sources, missing = found(path)
    assert list(sources) == [f"{path}/a.xyz"]
    assert "a header states a size of 8589934592 bytes" in missing[str(path)]


def header(kind, content, size=None):
    info = tarfile.TarInfo("././@Header")
    info.type, info.size = kind, len(content) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


PAX_COMMENT = b"2000 comment=" + b"c" * 1986 + b"\n"
TAR_HEADERS = {
    "pax of ones": header(tarfile.XHDTYPE, b"1" * 4_000_000),
    "pax of few ones": header(tarfile.XHDTYPE, b"1" * 16_000),
    "pax with a long number": header(tarfile.XHDTYPE, b"2000 size=" + b"1" * 1989 + b"\n"),
    "pax whose records overlap": header(tarfile.XHDTYPE, b"5 a\n" * 4000 + b"="),
    "pax of all that follow": b"".join(
        header(tarfile.XGLTYPE, b"2000 %07d=" % k + b"c" * 1986 + b"\n") for k in range(20)
    ),
    "pax after pax": header(tarfile.XHDTYPE, PAX_COMMENT) * 3000,
    "long names": header(tarfile.GNUTYPE_LONGNAME, b"a.xyz\0") * 3000,
    "name of a megabyte": header(tarfile.GNUTYPE_LONGNAME, b"a" * 1024**2),
    "pax of no number": header(tarfile.XHDTYPE, b"25 GNU.sparse.map=1,2,x\n"),
}


@pytest.mark.parametrize("hostile", TAR_HEADERS.values(), ids=TAR_HEADERS)
def test_tar_with_hostile_headers_gives_what_comes_before_and_a_cause(hostile, tmp_path):
    path = tmp_path / "x.tar"
    good = tar(path, {"a.xyz": XYZ}).read_bytes()
    path.write_bytes(good[:1024] + hostile + good[:1024] + bytes(1024))
    sources, amiss = found(path)
    assert list(sources) == [f"{path}/a.xyz"]
    assert "The tar archive is damaged: " in amiss[str(path)]


def old_sparse(blocks):
    """Return a sparse member in GNU's old format, with this many blocks of its map."""
    info = tarfile.TarInfo("sparse")
    info.type = tarfile.GNUTYPE_SPARSE
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[482] = blocks > 0
    head[148:156] = b"%06o\0 " % tarfile.calc_chksums(head)[0]
    block = b"00000000001\0" * 42 + b"\1" + bytes(7)
    return bytes(head) + block * (blocks - 1) + block[:504] + bytes(8)


PAX_SPARSE = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
MAP = b"900000\n" + b"1\n" * 1_000_000
SPARSE = {
    "old": old_sparse(4000),
    "pax": header(tarfile.XHDTYPE, PAX_SPARSE) + header(tarfile.REGTYPE, MAP),
}


@pytest.mark.parametrize("sparse", SPARSE.values(), ids=SPARSE)
def test_map_of_a_sparse_file_takes_no_memory_and_the_next_member_is_read(sparse, tmp_path):
    path = tmp_path / "x.tar"
    good = tar(path, {"a.xyz": XYZ}).read_bytes()
    path.write_bytes(sparse + good)
    tracemalloc.start()
    sources, amiss = found(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(sources) == [f"{path}/a.xyz"]
    assert [message for message in amiss.values() if "sparse" in message or "link" in message]
    assert len(amiss) == 1
    assert peak < 5 * 1024**2


def test_tar_headers_of_any_writer_are_read(tmp_path):
    name = "å" * 40 + "/" + "long" * 60 + "/a.xyz"
    for format_ in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tmp_path / f"{format_}.tar"
        headers = {"comment": "1" * 40} if format_ == tarfile.PAX_FORMAT else None
        with tarfile.open(path, "w", format=format_, pax_headers=headers) as file:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(XYZ), 1700000000.123456789
            file.addfile(info, io.BytesIO(XYZ))
        sources, amiss = found(path)
        assert list(sources) == [f"{path}/{name}"]
        assert not amiss


def test_zip_file_of_a_later_version_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.xyz": XYZ})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)
    zipped(tmp_path / "y.zip", {"b.xyz": XYZ})
    sources, amiss = found(tmp_path)
    assert list(sources) == [f"{tmp_path / 'y.zip'}/b.xyz"]
    assert amiss[str(path)] == "The zip archive is damaged: zip file version 9.9."


def test_zip_member_without_a_name_or_content_leaves_the_others(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("?", XYZ)
        file.writestr("a.xyz", XYZ)
        file.writestr("b.xyz", XYZ)
    content = bytearray(path.read_bytes().replace(b"?", b"\0"))  # where zipfile ends a name
    entry = content.rindex(b"PK\x01\x02", 0, content.index(b"b.xyz", content.index(b"PK\x01\x02")))
    struct.pack_into("<I", content, entry + 42, len(content))  # where its content begins
    path.write_bytes(content)
    sources, amiss = found(path)
    assert list(sources) == [f"{path}/a.xyz"]
    assert "leads out" in amiss[f"{path}/"]
    assert "damaged" in amiss[f"{path}/b.xyz"]


def test_zip_file_with_an_absurd_list_of_members_is_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.xyz": XYZ})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x05\x06") + 12, 0xF0000000)
    path.write_bytes(data)
    assert "list of members is longer" in found(path)[1][str(path)]


@every_archive
def test_bombs_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "EXPANSION_FREE_BYTES", 1024**2)
    members = {"a.xyz": XYZ, "bomb.xyz": bytes(8 * 1024**2)}
    path = ARCHIVES[kind](tmp_path / f"x.{kind}", members)
    if kind == "tar":  # an archive without compression cannot burst
        path = zipped(tmp_path / "y.zip", {"in.tar": path.read_bytes()})
    sources, missing = found(path)
    assert all(len(content) < 100 for content in sources.values())
    assert any("300-fold" in cause for cause in missing.values())


@pytest.mark.parametrize("count", [1, 128])
def test_a_bomb_in_a_zip_file_that_is_cut_short_is_not_unpacked_to_its_end(
    count, tmp_path, monkeypatch
):
    monkeypatch.setattr(compression, "EXPANSION_FREE_BYTES", 1024**2)
    whole = Pipe()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.xyz", XYZ)
        for number in range(count):
            file.writestr(f"bomb{number}.xyz", bytes(64 * 1024**2 // count))
    path = tmp_path / "x.zip"
    path.write_bytes(whole.getvalue()[:-60])
    monkeypatch.setattr(zip_entries.zlib, "decompressobj", Inflate)
    monkeypatch.setattr(Inflate, "unpacked", 0)
    sources, missing = found(path)
    assert f"{path}/a.xyz" in sources
    assert "300-fold" in missing[str(path)]
    assert Inflate.unpacked < 32 * 1024**2


class Inflate:
    """zlib's, which counts what it unpacks."""

    unpacked = 0

    def __init__(self, bits, decompressobj=zlib.decompressobj):
        self._inflate = decompressobj(bits)

    def decompress(self, packed, most):
        data = self._inflate.decompress(packed, most)
        Inflate.unpacked += len(data)
        return data

    def __getattr__(self, name):
        return getattr(self._inflate, name)


def test_many_members_share_one_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "EXPANSION_FREE_BYTES", 1024**2)
    path = zipped(tmp_path / "x.zip", {f"{k}.xyz": bytes(500_000) for k in range(200)})
    sources, missing = found(path)
    assert len(sources) < 100
    assert "300-fold" in missing[str(path)]


def test_temporary_files_end_with_their_sources_and_the_search(tmp_path):
    path = tar(
        tmp_path / "x.tar", {"a": LARGE, "b": zipped(tmp_path / "y", {"c": LARGE}).read_bytes()}
    )
    temporary = []
    for source in find([path]):
        assert isinstance(source, Source)
        assert source.path.exists()
        temporary.append(source.path)
        source.discard()
    assert not any(path.exists() for path in temporary)
    spool = temporary[0].parent
    search = find([path])
    next(search).discard()
    search.close()
    assert not list(spool.iterdir())


def test_tar_archive_of_any_length_takes_constant_memory(tmp_path):
    path = tmp_path / "x.tar"
    tar(path, {f"{k}.xyz": XYZ for k in range(3000)})
    tracemalloc.start()
    assert sum(1 for _ in find([path])) == 3000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 1024**2


def test_archive_given_to_a_parser_names_the_way():
    data = io.BytesIO()
    zipped(data, {"a.xyz": XYZ})
    with pytest.raises(archive.ParseError, match=r"zip archive.*nanoos\.parsers\.find"):
        list(read_source(Source("x.zip", data=data.getvalue())))
