"""Kubeconfigs: what is refused, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import InvalidInputError
from executors.kubernetes import access


def config(**cluster: object) -> dict[str, Any]:
    named = {"cluster": "c", "user": "u", "namespace": "ml"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "east", "context": named}],
        "current-context": "east",
    }


def written(tmp_path: Path, content: object, mode: int = 0o600) -> Path:
    path = tmp_path / "config"
    path.touch(mode=mode)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_contexts_are_listed_with_their_namespace_and_server(tmp_path: Path) -> None:
    (east,) = access.contexts(written(tmp_path, config()))
    assert (east.name, east.namespace, east.server) == ("east", "ml", "https://127.0.0.1:1")


def test_a_good_context_is_connected(tmp_path: Path) -> None:
    client = access.connect(written(tmp_path, config()), "east")
    assert client.configuration.host == "https://127.0.0.1:1"
    assert client.configuration.verify_ssl


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        (config(**{"insecure-skip-tls-verify": True}), "east", "insecure-skip-tls-verify"),
        (config(server="http://127.0.0.1:1"), "east", "not reached by https"),
        (config(server=""), "east", "no cluster with a `server`"),
        (config(), "west", "context 'west' is not in"),
    ],
)
def test_what_is_unsafe_or_gone_is_refused(
    tmp_path: Path, content: object, context: str, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        access.connect(written(tmp_path, content), context)


def test_a_command_to_sign_in_is_run_only_when_it_is_allowed(tmp_path: Path) -> None:
    content = config()
    content["users"][0]["user"] = {"exec": {"command": "steal", "apiVersion": "v1"}}
    path = written(tmp_path, content)
    with pytest.raises(InvalidInputError, match="runs 'steal' to sign in"):
        access.connect(path, "east")
    assert access.faults(path, "east", ["steal"]) == []


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, config())
    path.chmod(0o644)
    with pytest.raises(InvalidInputError, match="others may read"):
        access.connect(path, "east")


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b\n"])
def test_what_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInputError, match="config"):
        access.contexts(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nowhere"):
        access.contexts(tmp_path / "nowhere")


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = written(tmp_path, config())
    assert [each.name for each in access.contexts(path)] == ["east"]
    content = config()
    content["contexts"].append({"name": "west", "context": {"cluster": "c", "user": "u"}})
    written(tmp_path, content)
    assert [each.name for each in access.contexts(path)] == ["east", "west"]


def test_names_of_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t-1")
    (tmp_path / "ca.crt").write_text("")
    content = config(**{"certificate-authority": "ca.crt"})
    content["users"][0]["user"] = {"tokenFile": "token"}
    client = access.connect(written(tmp_path, content), "east")
    assert client.configuration.ssl_ca_cert == str(tmp_path / "ca.crt")
    assert "Bearer t-1" in client.configuration.api_key.values()
