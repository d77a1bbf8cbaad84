"""Keys, tokens and passwords left in files. Findings show the first letters only."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator

from engine.model.scans import Finding, FindingKind, FindingSeverity

BYTES_MAX = 32 << 20
"""Of one file that are searched: weights are long, and hold no text."""
_FINDINGS_MAX = 20
_SHOWN_LETTERS = 4
_HEAD_BYTES = 8_192
_LONGEST = 200
_ENTROPY_BITS_MIN = 3.0
"""Per letter; words that stand for a password in examples have less."""

_KNOWN: tuple[tuple[str, tuple[bytes, ...], bytes], ...] = (
    (
        "private key",
        (b"-----BEGIN ",),
        rb"-----BEGIN (?:[A-Z]{2,9} )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{20,}",
    ),
    ("AWS access key", (b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (
        "GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
        rb"\bgh[pousr]_[A-Za-z0-9]{36,255}\b",
    ),
    ("GitHub fine-grained token", (b"github_pat_",), rb"\bgithub_pat_[A-Za-z0-9_]{60,255}\b"),
    ("GitLab token", (b"glpat-",), rb"\bglpat-[A-Za-z0-9_-]{20,64}\b"),
    ("Slack token", (b"xox",), rb"\bxox[abprs]-[0-9A-Za-z-]{20,255}\b"),
    ("Google API key", (b"AIza",), rb"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("Hugging Face token", (b"hf_",), rb"\bhf_[A-Za-z]{34}\b"),
    ("OpenAI key", (b"sk-",), rb"\bsk-[A-Za-z0-9_-]{40,200}\b"),
    ("PyPI token", (b"pypi-AgEI",), rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    ("npm token", (b"npm_",), rb"\bnpm_[A-Za-z0-9]{36}\b"),
    ("Azure storage key", (b"AccountKey=",), rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    (
        "JSON web token",
        (b"eyJ",),
        rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    ),
)
"""Name, how it begins, and its form. A plain search for the beginning is a hundred times as fast as
a search for the form, which matters in weights of gigabytes."""
_PATTERNS = tuple((name, starts, re.compile(form)) for name, starts, form in _KNOWN)
_ADDRESS = re.compile(rb"\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@'\"]{1,64}:[^/\s:@'\"{}$<]{6,100}@")
_ASSIGNED = re.compile(
    rb"(?i)\b(?:[a-z0-9]+_)*(password|passwd|secret|api_?key|access_?token|auth_?token|secret_?key)"
    rb"[\"']?\s*[:=]\s*[\"']([^\"'\s]{8,200})[\"']"
)
_PLACEHOLDER = re.compile(
    rb"(?i)example|change.?me|your|placeholder|dummy|x{4,}|\$\{|<|\{\{|not-a-real"
)


def findings(place: str, data: bytes) -> Iterator[Finding]:
    """Yield the credentials in a file, at most a few of each kind."""
    searched = data[:BYTES_MAX]
    for name, starts, form in _PATTERNS:
        found = (match for start in starts for match in _matches(form, start, searched))
        for match in itertools.islice(found, _FINDINGS_MAX):
            yield _finding(place, name, searched, match.start(), match[0], FindingSeverity.HIGH)
    if b"\0" in searched[:_HEAD_BYTES]:
        return  # words of people stand in text
    for match in itertools.islice(_matches(_ADDRESS, b"://", searched, back=22), _FINDINGS_MAX):
        name = "password in an address"
        yield _finding(place, name, searched, match.start(), match[0], FindingSeverity.HIGH)
    for match in itertools.islice(_ASSIGNED.finditer(searched), _FINDINGS_MAX):
        if _PLACEHOLDER.search(match[2]) or _entropy(match[2]) < _ENTROPY_BITS_MIN:
            continue
        name = match[1].decode().lower()
        yield _finding(place, name, searched, match.start(2), match[2], FindingSeverity.MEDIUM)


def _matches(
    form: re.Pattern[bytes], start: bytes, data: bytes, *, back: int = 0
) -> Iterator[re.Match[bytes]]:
    """Yield where a form stands; `start` is in each, at most `back` bytes after its beginning."""
    at = data.find(start)
    while at >= 0:
        match = (
            form.search(data, max(0, at - back), at + _LONGEST) if back else form.match(data, at)
        )
        if match:
            yield match
        at = data.find(start, max(at + 1, match.end() if match else 0))


def _entropy(text: bytes) -> float:
    """Return the Shannon entropy of a text, bits per letter."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _finding(
    place: str, name: str, data: bytes, at: int, found: bytes, severity: FindingSeverity
) -> Finding:
    line = data.count(b"\n", 0, at) + 1
    shown = found[:_SHOWN_LETTERS].decode("latin-1")
    return Finding(
        kind=FindingKind.SECRET,
        severity=severity,
        code=f"secret.{name.replace(' ', '-').lower()}",
        place=place,
        message=f"line {line} holds what looks like a {name} ({shown}...)",
        fix="take it out, and revoke it: whoever got the file has it",
    )
