"""The file that says which clusters there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.model.errors import InvalidInputError
from engine.model.fleet import Provider
from executors.kubernetes.settings import read_settings

GOOD = """
kubeconfig = "config"
image = "registry.example/berth@sha256:1"
listen = "127.0.0.1:0"
[clusters.east]
namespace = "ml"
provider = "aws"
grace_seconds = 60
[prices]
"m5.2xlarge" = 0.384
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "kubernetes.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    found = read_settings(written(tmp_path, GOOD))
    assert found.kubeconfig == tmp_path / "config"
    (east,) = found.clusters
    assert (east.context, east.namespace, east.provider) == ("east", "ml", Provider.AWS)
    assert found.prices == {"m5.2xlarge": 384_000}
    assert found.endpoint == "http://127.0.0.1:0"


def test_all_faults_are_told_at_once_with_a_fix(tmp_path: Path) -> None:
    text = 'kubeconfg = "a"\nttl_seconds = 0\n[clusters.east]\nprovider = "moon"\nspeed = 1\n'
    with pytest.raises(InvalidInputError) as caught:
        read_settings(written(tmp_path, text))
    told = {fault.path: fault for fault in caught.value.faults}
    assert told.keys() == {
        "kubeconfg",
        "ttl_seconds",
        "clusters.east.provider",
        "clusters.east.speed",
    }
    assert told["kubeconfg"].fix == "did you mean `kubeconfig`?"
    assert "aws, azure" in told["clusters.east.provider"].message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image = 'a'", "`kubeconfig` is missing"),
        ("kubeconfig = ''", "a text is needed"),
        ("kubeconfig = 'a'\nclusters = 3", "not a table"),
        ("kubeconfig = 'a'\n[prices]\nlarge = -1", "at least 0"),
        ("kubeconfig = 'a'\nexec_allowed = 'aws'", "a list of texts"),
        ("kubeconfig = 'a'\n[clusters.e]\nconnections = true", "whole number"),
        ("kubeconfig = 'a'\n[clusters.e]\nvia = 'e'", "no other cluster"),
        ("kubeconfig = 'a'\n[clusters.e]\nvia = 'f'\n[clusters.f]", "has no `queue`"),
        ("kubeconfig = 'a'\n[clusters.e]\nnamespace = '../x'", "a name of a-z"),
        ("kubeconfig = 'a'\n[clusters.e]\ndevice_class = 'GPU'", "a name of a-z"),
        ("kubeconfig = 'a'\n[clusters.e]\ngateway = 'net/'", "NAME or NAMESPACE/NAME"),
        ("kubeconfig = 'a'\n[clusters.e]\ngateway = 'a/b/c'", "NAME or NAMESPACE/NAME"),
        ("kubeconfig = 'a'\n[clusters.e]\nmodelcars = 'r.io/m:1'", "HOST\\[:PORT\\]/REPOSITORY"),
        ("kubeconfig = 'a'\n[clusters.e]\nmodelcar_base = 'alpine'", "busybox or HOST"),
        ("kubeconfig = 'a'\n[clusters.e]\nmodelcars = 'r.io/m'", "only InferenceServices"),
        ("=", "cannot read"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_settings(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nowhere\.toml"):
        read_settings(tmp_path / "nowhere.toml")
