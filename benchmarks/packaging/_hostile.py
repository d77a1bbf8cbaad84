"""Models and archives made to do harm, and harmless ones that look a little like them."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

HARM = "harm-done"


class Payload:
    """Unpickles into a call of the shell that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self._mark}",)


def _tar(entry: tarfile.TarInfo, data: bytes = b"", *, twice: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry.size = len(data)
        for _ in range(1 + twice):
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def _zip(files: Mapping[str, bytes], *, packed: bool = False, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = (mode or 0o100644) << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def _zip_twice() -> bytes:
    """Returns a zip archive with two members of one name; the second is renamed in its bytes."""
    first = _zip({"weights-a": b"good", "weights-b": b"evil"})
    return first.replace(b"weights-b", b"weights-a")


def _overlapping() -> bytes:
    """Returns a zip archive whose second entry points to the bytes of the first."""
    data = bytearray(_zip({"aa": b"x" * 4_096, "bb": b"y"}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 42 : at + 46] = (0).to_bytes(4, "little")
    data[at + 46 : at + 48] = b"aa"
    return bytes(data)


def _nested(levels: int) -> bytes:
    data = b"x"
    for _ in range(levels):
        data = gzip.compress(data)
    return data


BOMBS: Mapping[str, Callable[[], bytes]] = {
    "bomb.gz": lambda: gzip.compress(bytes(64 << 20)),
    "bomb.zip": lambda: _zip({"zeros": bytes(64 << 20)}, packed=True),
    "bomb.tar.xz": lambda: lzma.compress(_tar(_entry("zeros"), bytes(16 << 20))),
    "many.zip": lambda: _zip({f"f{number}": b"" for number in range(10_001)}),
}
"""What makes files by name, each of which is to be refused for its size; making one takes long."""


def hostile(mark: Path) -> dict[str, bytes]:
    """Returns files by name, each of which is to be refused; `BOMBS` has more."""
    harm = pickle.dumps(Payload(mark))
    memo = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x04true\x85R."
    objects = io.BytesIO()
    np.save(objects, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    found = {
        **{f"pickle-{each}.pkl": pickle.dumps(Payload(mark), each) for each in range(6)},
        "memo.pkl": memo,
        "no-suffix": pickle.dumps(Payload(mark), 0),
        "renamed.onnx": harm,
        "text.txt": harm,
        "second.pkl": pickle.dumps([1, 2]) + harm,
        "broken-after.pkl": harm[:-1] + b"\xff\xff",
        "gzip.pkl.gz": gzip.compress(harm),
        "bzip2.bin": bz2.compress(harm),
        "xz.bin": lzma.compress(harm),
        "joblib.z": zlib.compress(harm),
        "torch.pt": _zip({"model/data.pkl": harm, "model/version": b"3"}),
        "tar-in-zip.zip": _zip({"inner.tar": _tar(_entry("model.pkl"), harm)}),
        "object.npy": objects.getvalue(),
        "objects.npz": _zip({"a.npy": objects.getvalue()}),
        "foreign.skops": _zip(
            {"schema.json": json.dumps({"__module__": "evil", "__class__": "Evil"}).encode()}
        ),
        "lambda.keras": _zip({"config.json": b'{"class_name": "Lambda"}'}),
        "outside.onnx": b"\x08\x08\n\x08location\x12\x10../../etc/passwd",
        "native.so": b"\x7fELF" + bytes(64),
    }
    names = {
        "up.tar": "../../etc/cron.d/x",
        "absolute.tar": "/etc/passwd",
        "windows.tar": "C:\\x",
        "mixed.tar": "a\\..\\..\\x",
        "inner-up.tar": "a/../../x",
    }
    found |= {name: _tar(_entry(each), b"x") for name, each in names.items()}
    found |= {f"{name}.zip": _zip({each: b"x"}) for name, each in names.items()}
    return found | {
        "link-out.tar": _tar(_entry("a", tarfile.SYMTYPE, "../../etc/passwd")),
        "link-absolute.tar": _tar(_entry("a", tarfile.SYMTYPE, "/etc/passwd")),
        "hard-link-out.tar": _tar(_entry("a", tarfile.LNKTYPE, "../x")),
        "link-out.zip": _zip({"a": b"/etc/passwd"}, mode=0o120777),
        "device.tar": _tar(_entry("a", tarfile.BLKTYPE)),
        "pipe.tar": _tar(_entry("a", tarfile.FIFOTYPE)),
        "device.zip": _zip({"a": b""}, mode=0o020644),
        "twice.tar": _tar(_entry("weights"), b"x", twice=True),
        "twice.zip": _zip_twice(),
        "overlapping.zip": _overlapping(),
        "deep.gz": _nested(40),
        "cut.zip": _zip({"a": b"x" * 100})[:-40],
        "setuid.tar": _tar(_setuid("a"), b"x"),
    }


def _setuid(name: str) -> tarfile.TarInfo:
    entry = _entry(name)
    entry.mode = 0o4755
    return entry


def harmless() -> dict[str, bytes]:
    """Returns files by name, none of which is to be refused."""
    array = io.BytesIO()
    np.save(array, np.arange(1_000.0))
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return {
        "weights.npy": array.getvalue(),
        "weights.npz": _zip({"a.npy": array.getvalue()}, packed=True),
        "weights.safetensors": len(header).to_bytes(8, "little") + header + bytes(4),
        "code.py": b"import os\nsystem = 1\nclass Model:\n    pass\n",
        "config": b"config\nfoo\nbar: 1\n",
        "notes.md": b"# Model\n\ncopy of the (old) one. I said so.\n",
        "data.json": b'{"rows": [[1, 2, null]]}',
        "table.csv": b"a,b\n1,2\n",
        "plain.tar": _tar(_entry("models/a.txt"), b"text"),
        "plain.tar.gz": gzip.compress(_tar(_entry("models/a.txt"), b"text")),
        "plain.zip": _zip({"models/a.txt": b"text", "models/..b": b"text"}),
        "empty": b"",
        "noise.raw": bytes(np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)),
        "requirements.txt": b"numpy==2.1.0 --hash=sha256:abc\n",
    }
