"""Keys and certificates of a cluster on this machine, by openssl, and kubeconfigs made of them."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DAYS = 3650


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: Path, name: str = "ca") -> None:
    """Make a certificate authority: `NAME.crt` and `NAME.key`."""
    subject = ["-subj", "/CN=berth-test-ca", "-days", str(DAYS), "-nodes"]
    made = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *subject, *made
    )


def issue(
    folder: Path,
    name: str,
    subject: str,
    *,
    names: str = "",
    days: int = DAYS,
    authority_name: str = "ca",
) -> None:
    """Make `NAME.crt` and `NAME.key`, signed by the authority of the folder.

    names: subject alternative names as openssl writes them, for servers.
    days: of validity; a negative number makes a certificate that has expired.
    """
    key, request = str(folder / f"{name}.key"), str(folder / f"{name}.csr")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    _openssl("req", "-new", *curve, "-nodes", "-keyout", key, "-subj", subject, "-out", request)
    extensions = folder / f"{name}.ext"
    usage = "serverAuth,clientAuth"
    lines = [f"extendedKeyUsage={usage}", *([f"subjectAltName={names}"] if names else [])]
    extensions.write_text("\n".join(lines), encoding="utf-8")
    signer = [
        *("-CA", str(folder / f"{authority_name}.crt")),
        *("-CAkey", str(folder / f"{authority_name}.key")),
    ]
    made = ["-out", str(folder / f"{name}.crt"), "-extfile", str(extensions)]
    if days < 0:
        _expired(folder, name, authority_name)
        return
    validity = ["-CAcreateserial", "-days", str(days)]
    _openssl("x509", "-req", "-in", request, *signer, *validity, *made)


def _expired(folder: Path, name: str, authority_name: str) -> None:
    """Sign a request for a day that is over; only `openssl ca` of this version takes dates."""
    book = folder / f"{name}.book"
    book.mkdir(exist_ok=True)
    (book / "index.txt").write_text("", encoding="utf-8")
    (book / "serial").write_text("01\n", encoding="utf-8")
    (book / "ca.cnf").write_text(
        "[ca]\ndefault_ca=a\n[a]\n"
        f"dir={book}\nnew_certs_dir={book}\ndatabase={book}/index.txt\nserial={book}/serial\n"
        f"certificate={folder}/{authority_name}.crt\nprivate_key={folder}/{authority_name}.key\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\norganizationName=optional\n",
        encoding="utf-8",
    )
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
    files = ["-in", str(folder / f"{name}.csr"), "-out", str(folder / f"{name}.crt")]
    config = ["-config", str(book / "ca.cnf"), "-extfile", str(folder / f"{name}.ext")]
    _openssl("ca", "-batch", "-notext", *config, *dates, *files)


def service_account_keys(folder: Path) -> None:
    """Make the pair of keys that signs tokens of service accounts."""
    _openssl("genrsa", "-out", str(folder / "sa.key"), "2048")
    _openssl("rsa", "-in", str(folder / "sa.key"), "-pubout", "-out", str(folder / "sa.pub"))


def encoded(path: Path) -> str:
    """Return a file as kubeconfigs hold it."""
    return base64.b64encode(path.read_bytes()).decode()


def kubeconfig(
    folder: Path, server: str, user: str, *, context: str = "test", namespace: str = "default"
) -> dict[str, object]:
    """Return a kubeconfig for a user with a certificate in the folder."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": context,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": encoded(folder / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": f"{user}@{context}",
                "user": {
                    "client-certificate-data": encoded(folder / f"{user}.crt"),
                    "client-key-data": encoded(folder / f"{user}.key"),
                },
            }
        ],
        "contexts": [
            {
                "name": context,
                "context": {
                    "cluster": context,
                    "user": f"{user}@{context}",
                    "namespace": namespace,
                },
            }
        ],
        "current-context": context,
    }


def merged(configs: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return one kubeconfig with the contexts of all; the first one's is the current one."""
    parts = ("clusters", "users", "contexts")
    return {
        **configs[0],
        **{part: [each for config in configs for each in config[part]] for part in parts},
    }


def write_kubeconfig(path: Path, content: dict[str, object]) -> None:
    """Write a kubeconfig that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
