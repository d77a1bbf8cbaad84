"""What every server of the protocol does over REST; subclass with fixtures, run with pytest."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, cast

import pytest

from executors.serving.conformance.sample import DATATYPES, Sample, ServerAddress, unpacked

_OK = 200
_ERRORS = range(400, 500)
_MISSING = "no-such-model"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Document:
        """Its body as a JSON object."""
        return cast("Document", json.loads(self.body))


def send(
    address: ServerAddress,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Reply:
    """Ask a server."""
    connection = http.client.HTTPConnection(
        address.host, address.rest_port, timeout=address.timeout_seconds
    )
    try:
        connection.request(method, path, body or None, {**address.headers, **(headers or {})})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


def request_of(sample: Sample, **more: object) -> Document:
    """Return the sample's inference request."""
    inputs = [
        {"name": t.name, "datatype": t.datatype, "shape": list(t.shape), "data": list(t.data)}
        for t in sample.inputs
    ]
    return {"inputs": inputs, **more}


class _Suite:
    @pytest.fixture
    def address(self) -> ServerAddress:
        """Return where the server listens."""
        raise NotImplementedError

    @pytest.fixture
    def sample(self) -> Sample:
        """Return a model that it serves."""
        raise NotImplementedError

    def infer(self, address: ServerAddress, sample: Sample, document: object) -> Reply:
        """Ask for an inference."""
        path = f"/v2/models/{sample.model}/infer"
        headers = {"Content-Type": "application/json"}
        return send(address, "POST", path, json.dumps(document).encode(), headers)


class RestSuite(_Suite):
    """Health, metadata and inference, by the protocol's REST API."""

    @pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
    def test_the_server_is_live_and_ready(self, address: ServerAddress, path: str) -> None:
        """Both are said by the status."""
        assert send(address, "GET", path).status == _OK

    def test_the_model_is_ready(self, address: ServerAddress, sample: Sample) -> None:
        """As is the version that serves."""
        paths = [f"/v2/models/{sample.model}"]
        if sample.version:
            paths.append(f"{paths[0]}/versions/{sample.version}")
        for path in paths:
            assert send(address, "GET", f"{path}/ready").status == _OK

    def test_a_model_that_is_not_there_is_not_ready(self, address: ServerAddress) -> None:
        """The status says so."""
        assert send(address, "GET", f"/v2/models/{_MISSING}/ready").status in _ERRORS

    def test_the_server_describes_itself(self, address: ServerAddress) -> None:
        """By name, version and extensions."""
        found = send(address, "GET", "/v2").document
        assert isinstance(found["name"], str)
        assert isinstance(found["version"], str)
        assert all(isinstance(each, str) for each in found["extensions"])

    def test_the_model_describes_its_tensors(self, address: ServerAddress, sample: Sample) -> None:
        """By name, datatype and shape, -1 where a request chooses the size."""
        found = send(address, "GET", f"/v2/models/{sample.model}").document
        assert found["name"] == sample.model
        assert isinstance(found["platform"], str)
        for key, known in (("inputs", sample.inputs), ("outputs", sample.outputs)):
            described = {each["name"]: each for each in found[key]}
            assert {each.name for each in known} <= set(described)
            for tensor in known:
                own = described[tensor.name]
                assert own["datatype"] in DATATYPES
                assert len(own["shape"]) == len(tensor.shape)
                assert all(a in {-1, b} for a, b in zip(own["shape"], tensor.shape, strict=True))

    def test_an_inference_is_answered(self, address: ServerAddress, sample: Sample) -> None:
        """With every output, by name, in the model's datatype and shape."""
        reply = self.infer(address, sample, request_of(sample))
        assert reply.status == _OK
        assert reply.headers["content-type"].startswith("application/json")
        self.check(reply.document, sample)

    def test_nested_data_is_the_same_data(self, address: ServerAddress, sample: Sample) -> None:
        """Elements may stand in lists of lists, as the shape has them."""
        document = request_of(sample)
        for each in document["inputs"]:
            for size in reversed(each["shape"][1:]):
                data = each["data"]
                each["data"] = [data[at : at + size] for at in range(0, len(data), size)]
        self.check(self.infer(address, sample, document).document, sample)

    def test_an_id_comes_back(self, address: ServerAddress, sample: Sample) -> None:
        """As it was sent."""
        reply = self.infer(address, sample, request_of(sample, id="conformance-1"))
        assert reply.document["id"] == "conformance-1"

    def test_outputs_that_are_asked_for_are_given(
        self, address: ServerAddress, sample: Sample
    ) -> None:
        """And no others."""
        wanted = sample.outputs[-1].name
        reply = self.infer(address, sample, request_of(sample, outputs=[{"name": wanted}]))
        assert [each["name"] for each in reply.document["outputs"]] == [wanted]

    def test_a_version_can_be_asked(self, address: ServerAddress, sample: Sample) -> None:
        """By the path."""
        if not sample.version:
            pytest.skip("the server has no versions")
        path = f"/v2/models/{sample.model}/versions/{sample.version}/infer"
        body = json.dumps(request_of(sample)).encode()
        reply = send(address, "POST", path, body, {"Content-Type": "application/json"})
        assert reply.document["model_version"] == sample.version

    @pytest.mark.parametrize("fault", ["shape", "count", "datatype", "name", "missing", "data"])
    def test_a_request_at_fault_is_refused(
        self, address: ServerAddress, sample: Sample, fault: str
    ) -> None:
        """With a status of the client's and the key `error`; the server goes on."""
        document = request_of(sample)
        first = document["inputs"][0]
        if fault == "shape":
            first["shape"] = [*first["shape"], 3]
            first["data"] = first["data"] * 3
        elif fault == "count":
            first["data"] = first["data"][:-1]
        elif fault == "datatype":
            first["datatype"] = "FP65"
        elif fault == "name":
            document["outputs"] = [{"name": "no-such-output"}]
        elif fault == "missing":
            document["inputs"] = []
        else:
            first["data"] = ["text"] * len(first["data"])
        self.refused(self.infer(address, sample, document))
        assert self.infer(address, sample, request_of(sample)).status == _OK

    @pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"{}"])
    def test_a_body_that_is_no_request_is_refused(
        self, address: ServerAddress, sample: Sample, body: bytes
    ) -> None:
        """Whatever it is."""
        path = f"/v2/models/{sample.model}/infer"
        self.refused(send(address, "POST", path, body, {"Content-Type": "application/json"}))

    def test_an_unknown_model_is_refused(self, address: ServerAddress, sample: Sample) -> None:
        """For metadata and for inference."""
        self.refused(send(address, "GET", f"/v2/models/{_MISSING}"))
        body = json.dumps(request_of(sample)).encode()
        headers = {"Content-Type": "application/json"}
        self.refused(send(address, "POST", f"/v2/models/{_MISSING}/infer", body, headers))

    def check(self, answer: Document, sample: Sample) -> None:
        """Compare an answer with the sample's."""
        assert answer["model_name"] == sample.model
        found = {each["name"]: each for each in answer["outputs"]}
        for tensor in sample.outputs:
            own = found[tensor.name]
            assert own["datatype"] == tensor.datatype
            assert tensor.equals(own["shape"], own["data"], sample.tolerance), own

    def refused(self, reply: Reply) -> None:
        """Insist on an error as the protocol has it."""
        assert reply.status in _ERRORS
        assert isinstance(reply.document["error"], str)


class BinarySuite(_Suite):
    """The extension of binary tensor data, which clients of Triton use unless told otherwise."""

    def test_tensors_may_come_and_go_as_bytes(self, address: ServerAddress, sample: Sample) -> None:
        """Behind the JSON, whose length a header says."""
        inputs = [
            {
                "name": each.name,
                "datatype": each.datatype,
                "shape": list(each.shape),
                "parameters": {"binary_data_size": len(each.raw)},
            }
            for each in sample.inputs
        ]
        parameters = {"binary_data_output": True}
        head = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
        body = head + b"".join(each.raw for each in sample.inputs)
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        reply = send(address, "POST", f"/v2/models/{sample.model}/infer", body, headers)
        assert reply.status == _OK
        length = int(reply.headers["inference-header-content-length"])
        answer, rest = json.loads(reply.body[:length]), reply.body[length:]
        known = {each.name: each for each in sample.outputs}
        for output in answer["outputs"]:
            size = output["parameters"]["binary_data_size"]
            data, rest = rest[:size], rest[size:]
            tensor = known[output["name"]]
            values = unpacked(output["datatype"], data)
            assert tensor.equals(output["shape"], values, sample.tolerance)
        assert rest == b""

    def test_a_size_that_does_not_fit_is_refused(
        self, address: ServerAddress, sample: Sample
    ) -> None:
        """By a status of the client's."""
        document = request_of(sample)
        for each in document["inputs"]:
            del each["data"]
            each["parameters"] = {"binary_data_size": 1 << 30}
        head = json.dumps(document).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        reply = send(address, "POST", f"/v2/models/{sample.model}/infer", head, headers)
        assert reply.status in _ERRORS
