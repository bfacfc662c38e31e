"""Real files, damaged in every way that a seed decides, and a process of its own to read them.

Run as a program it is that process: it reads the paths given on standard input and answers
each with one line of JSON.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tarfile
import traceback
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 10
MEGABYTES = 1024
NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?")
ABSURD = [
    *(b"0", b"-1", b"1e308", b"-1e308", b"1e-308", b"nan", b"inf", b"-Infinity", b"1e999"),
    *(b"99999999999999999999", b"1000000", b"2147483648", b"0.5", b"1e6", b"9" * 5000),
    *(b"", b"?", b".", b"x", b"-", b"1.2.3", b"1,5", b"1_0", "٣".encode(), b"0x10", b"1d5"),
]
NESTED = [b"[" * 20_000, b'{"a":' * 20_000, b"(" * 5_000, b"'" * 999, b"\n;\n", b"\x00", b"_JSON "]
BAD_UTF8 = [b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x80\xa8"]


# Damage


def seeds() -> dict[str, list[Path]]:
    """Return the real files of each format."""
    files: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "examples" / "crystals").iterdir()):
        files.setdefault(path.suffix[1:], []).append(path)
    for folder in sorted((ROOT / "tests" / "fixtures" / "formats").iterdir()):
        if folder.is_dir():
            files.setdefault(folder.name, []).extend(sorted(folder.iterdir()))
    return files


def damaged(number: int) -> tuple[str, bytes]:
    """Return (what was done to which file, the content) of one case."""
    chance = random.Random(number)
    files = seeds()
    path = chance.choice(files[chance.choice(sorted(files))])
    data, done = path.read_bytes(), []
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        damage = chance.choice(DAMAGES)
        data = damage(data, chance)
        done.append(damage.__name__)
    if chance.random() < 0.1:
        packing = chance.choice(PACKINGS)
        data = packing(data, path.name)
        done.append(packing.__name__)
        if chance.random() < 0.7:
            damage = chance.choice(DAMAGES)
            data = damage(data, chance)
            done.append(damage.__name__)
    name = path.name if chance.random() < 0.9 else "file"
    return f"{number} {path.name} as {name}: {', '.join(done)}", data


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 3, 30])):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def insert(data: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(data) + 1)
    return data[:where] + chance.randbytes(chance.choice([1, 4, 600])) + data[where:]


def insert_known_trouble(data: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(data) + 1)
    return data[:where] + chance.choice(NESTED + BAD_UTF8) + data[where:]


def drop(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.choice([1, 10, 500]) :]


def absurd_numbers(data: bytes, chance: random.Random) -> bytes:
    numbers = list(NUMBER.finditer(data[:200_000]))
    for match in sorted(chance.sample(numbers, min(len(numbers), chance.choice([1, 1, 3]))),
                        key=lambda m: -m.start()):  # fmt: skip
        data = data[: match.start()] + chance.choice(ABSURD) + data[match.end() :]
    return data


def zero_a_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    k = chance.randrange(len(lines))
    lines[k] = NUMBER.sub(b"0.0", lines[k])
    return b"\n".join(lines)


def duplicate_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = sorted(chance.randrange(len(lines)) for _ in range(2))
    j = min(j, i + chance.choice([1, 1, 20]))
    return b"\n".join([*lines[:j], *(lines[i:j] * chance.choice([1, 1, 3, 200])), *lines[j:]])


def swap_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def drop_a_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    del lines[chance.randrange(len(lines))]
    return b"\n".join(lines)


def splice(data: bytes, chance: random.Random) -> bytes:
    """The beginning of one file, the end of another."""
    files = seeds()
    other = chance.choice(files[chance.choice(sorted(files))]).read_bytes()
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    return data * min(chance.choice([2, 5, 50]), 1 + 2_000_000 // (len(data) + 1))


def other_ends_of_lines(data: bytes, chance: random.Random) -> bytes:
    return data.replace(b"\n", chance.choice([b"\r\n", b"\r", b" ", b"\n\n", b"\xe2\x80\xa8"]))


def other_encoding(data: bytes, chance: random.Random) -> bytes:
    return data.decode("latin-1").encode(chance.choice(["utf-16", "utf-8", "utf-32"]))


DAMAGES = [
    *(cut, cut, flip_bits, flip_bits, insert, insert_known_trouble, drop),
    *(absurd_numbers, absurd_numbers, absurd_numbers, zero_a_line, duplicate_lines),
    *(swap_lines, drop_a_line, splice, repeat, other_ends_of_lines, other_encoding),
]


def gzipped(data: bytes, name: str) -> bytes:
    return gzip.compress(data, mtime=0)


def tarred(data: bytes, name: str) -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, BytesIO(data))
    return file.getvalue()


def zipped(data: bytes, name: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


PACKINGS = [gzipped, tarred, zipped]


# Reading


class Reader:
    """A process that reads files; one that dies is replaced by the next."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path) -> dict[str, Any]:
        """Return what came of a file: ``read``, ``refused`` and, when it went wrong, ``fault``."""
        process = self._process = self._process or subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{path}\n".encode())
        process.stdin.flush()
        # The process ends itself by its own processor time; this is for one that sleeps.
        ready, _, _ = select.select([process.stdout], [], [], SECONDS * 12)
        line = process.stdout.readline() if ready else b""
        if line:
            found: dict[str, Any] = json.loads(line)
            if found["megabytes"] > MEGABYTES:
                self.close()
                found["fault"] = f"took {found['megabytes']} MB"
            return found
        self.close()
        status = process.returncode
        slow = not ready or status == -signal.SIGPROF
        return {"fault": f"took over {SECONDS} s" if slow else f"the process died ({status})"}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill() if self._process.poll() is None else None
            self._process.communicate()
            self._process = None


def main() -> None:
    """Answer each path on standard input."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        answer = outcome(line.rstrip("\n"))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(answer), flush=True)


def outcome(path: str) -> dict[str, Any]:
    """Read a file as an import does: find, parse, analyse."""
    from nanoos.errors import NanoError
    from nanoos.parsers import Parsed, Unfound, find, read_source
    from nanoos.structures import analyse

    read = 0
    refused: list[str] = []
    try:
        for source in find([path]):
            if isinstance(source, Unfound):
                refused.append(str(source.error))
                continue
            try:
                for one in read_source(source):
                    if isinstance(one, Parsed):
                        analyse(one.structure)
                        json.dumps(one.extra, allow_nan=False).encode()
                        one.source_text.encode()
                        read += 1
                    else:
                        refused.append(str(one.error))
            except NanoError as error:
                refused.append(str(error))
    except Exception:  # noqa: BLE001 - whatever gets out is what is looked for
        return {"read": read, "refused": refused, "fault": traceback.format_exc()}
    unfit = [text for text in refused if not text or not text.isprintable() or len(text) > 2000]
    fault = {"fault": f"a message that cannot be shown: {unfit[0]!r:.300}"} if unfit else {}
    return {"read": read, "refused": refused, **fault}


if __name__ == "__main__":
    main()
