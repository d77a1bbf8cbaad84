"""The folder a model begins with, and what `berth model push` does in it."""

from __future__ import annotations

from pathlib import Path

from engine.model.errors import RefusedError
from executors.packaging.repository import git, settings

_TOML = """\
name = "{name}"
format = "onnx"              # onnx, skops, torch, series, pickle, or python (your own class)
file = "model.onnx"          # the weights; for python: class = "model:Model"
features = ["x0", "x1"]      # columns in order, or {{name = "age", unit = "years"}}
# base = "debian:bookworm"   # or an image in a registry
# compile = true             # bytecode in the image: slower to build, quicker to start

[tests]
latency_ms_p99 = 100
size_mib = 2048

[deploy]
# image = "registry.example.org/{name}"     # where the image is pushed
# test = "http://127.0.0.1:9001"            # model servers
# production = "http://127.0.0.1:9002"
promote = "by hand"                         # or "when tests pass"
"""
_REQUIREMENTS = "# What the model needs in its image, every version exact.\nnumpy\nonnxruntime\n"
_IGNORED = "# Weights stand in the artefact store; weights.json names them.\n"
_REMOTE = "berth"


def write(folder: Path, name: str, repository: Path) -> tuple[Path, ...]:
    """Write the files of a new model; return those written. A file that is there is kept."""
    texts = {
        settings.FILE: _TOML.format(name=name),
        settings.REQUIREMENTS_FILE: _REQUIREMENTS,
        ".gitignore": _IGNORED,
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, text in texts.items():
        if not (folder / file).exists():
            (folder / file).write_text(text, encoding="utf-8")
            written.append(folder / file)
    if not (folder / ".git").exists():
        git.run(folder, "init", "-q", "-b", git.BRANCH)
    remotes = git.run(folder, "remote").decode().split()
    verb = "set-url" if _REMOTE in remotes else "add"
    git.run(folder, "remote", verb, _REMOTE, str(repository.absolute()))
    return tuple(written)


def ignore(folder: Path, file: str) -> None:
    """Keep git from taking weights in."""
    path = folder / ".gitignore"
    known = path.read_text("utf-8") if path.exists() else ""
    if f"/{file}" not in known.split("\n"):
        path.write_text(f"{known}/{file}\n", encoding="utf-8")


def require(folder: Path) -> None:
    """Refuse a folder that is no repository of a model.

    Raises:
        RefusedError: when it is none.
    """
    if not (folder / settings.FILE).exists():
        fix = "go to the model's folder, or `berth model init NAME`"
        raise RefusedError(f"{str(folder)!r} holds no {settings.FILE}", fix=fix)


def push(folder: Path, message: str) -> tuple[str, str]:
    """Commit what changed and push it; return the commit and what the hook said.

    Raises:
        RefusedError: when the folder is no repository of a model, or the push is refused.
    """
    require(folder)
    git.run(folder, "add", "-A")
    if git.run(folder, "status", "--porcelain"):
        git.run(folder, "-c", "commit.gpgsign=false", "commit", "-q", "-m", message)
    commit = git.run(folder, "rev-parse", "HEAD").decode().strip()
    said = git.push(folder, _REMOTE)
    return commit, said
