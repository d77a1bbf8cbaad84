"""Git, as its own program: repositories of models are plain ones that any tool can read."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.model.errors import NotFoundError, RefusedError, UnreachableError
from executors.packaging import archives

BRANCH = "main"
_SECONDS_MAX = 120.0
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_CODE_LIMITS = archives.Limits(bytes_max=64 << 20, entries_max=10_000)
_TAR_BYTES_MAX = 2 * _CODE_LIMITS.bytes_max
"""Enough for what may be in a commit with what tar adds; what is larger is cut off, and refused."""
_SCHEMES = re.compile(r"(?:https://|ssh://|git@|file:///|/)")
_HOOK = """\
#!/bin/sh
# Written by Berth: tells the engine of a push; where none runs, the command line does the work.
while read -r old new ref; do
  [ "$ref" = "refs/heads/{branch}" ] || continue
  url=$(sed -n 's/.*"url": *"\\([^"]*\\)".*/\\1/p' {engine_file} 2>/dev/null)
  if [ -n "$url" ] && command -v curl >/dev/null; then
    curl -sS -X POST -H 'Accept: text/plain' "$url/v1/models/{name}/deliver?commit=$new" && continue
  fi
  {command} model deliver {name} "$new"
done
"""


def run(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
    """Run git in a folder; return what it printed.

    Raises:
        RefusedError: when it fails, with its last words.
        NotFoundError: when git is not installed.
    """
    done = _start(folder, arguments, environment or {})
    if done.returncode:
        raise _failed(folder, arguments[0], done.stderr)
    return done.stdout


def _failed(folder: Path, word: str, said: bytes) -> RefusedError:
    last = " ".join(said.decode(errors="replace").strip().splitlines()[-3:])
    message = f"git {word} in {str(folder)!r} fails: {last}"
    return RefusedError(message, fix="repair what git names, then repeat")


def _late(word: str) -> UnreachableError:
    message = f"git {word} takes over {_SECONDS_MAX:g} s"
    return UnreachableError(message, fix="look at the remote, then repeat")


def _variables(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of git, without what names another repository, as hooks do."""
    variables = {**os.environ, "GIT_TERMINAL_PROMPT": "0", **more}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_QUARANTINE_PATH"):
        variables.pop(name, None)
    return variables


def _start(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run git; return how it ended."""
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the user has
            env=_variables(environment),
            capture_output=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotFoundError("git is not installed", fix="install git, then repeat") from error
    except subprocess.TimeoutExpired as error:
        raise _late(arguments[0]) from error


def make_bare(path: Path, name: str, engine_file: Path, command: str) -> None:
    """Make the repository that is pushed to, with its hook; one that is there is kept."""
    if not (path / "HEAD").exists():
        path.mkdir(parents=True, exist_ok=True)
        run(path, "init", "-q", "--bare", "-b", BRANCH)
    hook = path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    quoted = shlex.quote(str(engine_file))
    text = _HOOK.format(branch=BRANCH, name=name, engine_file=quoted, command=command)
    hook.write_text(text, encoding="utf-8")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)


def files_of(repository: Path, commit: str) -> dict[str, bytes]:
    """Return the files of a commit by path.

    Raises:
        RefusedError: when there is no such commit.
        DamagedError: when it holds links, or more than 64 MiB: weights belong to the store.
    """
    if not _COMMIT.match(commit):
        raise RefusedError(f"{commit!r} is no commit", fix="name it by all its 40 digits")
    return archives.read_files(_archive(repository, commit), f"commit {commit[:12]}", _CODE_LIMITS)


def _archive(repository: Path, commit: str) -> bytes:
    """Return a commit as a tar, no more of it than is needed to see that it is too large.

    Raises:
        RefusedError: when there is no such commit, or git fails otherwise, with its last words.
        UnreachableError: when it takes too long.
    """
    run(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            ["git", "-C", str(repository), "archive", "--format=tar", commit],  # noqa: S607 - as above
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_variables({}),
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(_SECONDS_MAX, give_up)
        timer.start()
        try:
            with process.stdout as told:
                data = told.read(_TAR_BYTES_MAX)
            code = process.wait()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        if is_late.is_set():
            raise _late("archive")
        if code and len(data) < _TAR_BYTES_MAX:
            errors.seek(0)
            raise _failed(repository, "archive", errors.read())
    return data


def files_here(folder: Path) -> dict[str, bytes]:
    """Return the files of a working folder that git has or would take in, by path."""
    if not (folder / ".git").exists():
        raise RefusedError(f"{str(folder)!r} is no git repository", fix="`berth model init NAME`")
    listed = run(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = [name for name in listed.decode(errors="replace").split("\0") if name]
    paths = {name: folder / name for name in names}
    return {
        name: path.read_bytes()
        for name, path in paths.items()
        if path.is_file() and not path.is_symlink()
    }


def head_of(repository: Path) -> str:
    """Return the commit that the branch stands at.

    Raises:
        RefusedError: when nothing was pushed yet.
    """
    found = run(repository, "rev-parse", "--verify", f"refs/heads/{BRANCH}^{{commit}}")
    return found.decode().strip()


def fetch(repository: Path, remote: str) -> None:
    """Bring the branch of a remote over.

    Raises:
        RefusedError: when the remote is of a kind that git would run as a program, or fails.
    """
    if not _SCHEMES.match(remote) or "::" in remote:
        raise RefusedError(f"{remote!r} is no remote", fix="use https://, ssh:// or git@HOST:PATH")
    run(repository, "fetch", "-q", "--", remote, f"+refs/heads/{BRANCH}:refs/heads/{BRANCH}")


def push(folder: Path, remote: str) -> str:
    """Push the branch; return what the other side said.

    Raises:
        RefusedError: when it is refused.
    """
    done = _start(folder, ("push", "--porcelain", remote, f"HEAD:refs/heads/{BRANCH}"), {})
    said = [
        line.removeprefix("remote:").strip()
        for line in done.stderr.decode(errors="replace").splitlines()
        if line.startswith("remote:")
    ]
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise RefusedError(f"git push to {remote!r} fails: {' '.join(last)}", fix="pull first")
    return "\n".join(said)
