"""What every `ModelServer` keeps; subclass `ModelServerSuite` with fixtures and `served`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.model.dispatches import Deployment
from engine.model.errors import DamagedError, UnreachableError
from engine.model.identifiers import Digest
from engine.ports import ModelServer


class ModelServerSuite:
    """The contract of the port `ModelServer`."""

    @pytest.fixture
    def server(self) -> ModelServer:
        """Return the port's implementation."""
        raise NotImplementedError

    @pytest.fixture
    def deployment(self) -> Deployment:
        """Return a deployment whose server is up and whose wanted package is good."""
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> Digest:
        """Return the digest of another good package of the same model."""
        raise NotImplementedError

    @pytest.fixture
    def bad(self) -> Digest:
        """Return the digest of a package that is not what it says."""
        raise NotImplementedError

    def served(self, server: ModelServer, deployment: Deployment) -> Digest | None:
        """Return what a deployment's server says that it serves."""
        raise NotImplementedError

    def test_what_is_wanted_serves(self, server: ModelServer, deployment: Deployment) -> None:
        """The digest that serves is returned."""
        assert server.swap(deployment) == deployment.wanted
        assert self.served(server, deployment) == deployment.wanted

    def test_a_swap_may_be_repeated(self, server: ModelServer, deployment: Deployment) -> None:
        """The second call changes nothing."""
        assert server.swap(deployment) == server.swap(deployment)

    def test_the_next_package_takes_over(
        self, server: ModelServer, deployment: Deployment, other: Digest
    ) -> None:
        """And the first one can come back."""
        server.swap(deployment)
        following = replace(deployment, wanted=other)
        assert server.swap(following) == other
        assert self.served(server, following) == other
        assert server.swap(deployment) == deployment.wanted

    def test_a_bad_package_leaves_the_old_one_serving(
        self, server: ModelServer, deployment: Deployment, bad: Digest
    ) -> None:
        """It is refused before anything changes."""
        server.swap(deployment)
        with pytest.raises(DamagedError):
            server.swap(replace(deployment, wanted=bad))
        assert self.served(server, deployment) == deployment.wanted

    def test_a_server_that_is_down_is_unreachable(
        self, server: ModelServer, deployment: Deployment
    ) -> None:
        """The caller may try again."""
        with pytest.raises(UnreachableError):
            server.swap(replace(deployment, endpoint="http://127.0.0.1:9"))
