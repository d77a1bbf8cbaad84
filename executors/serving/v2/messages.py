"""Protobuf messages of the protocol, built at run time in a private pool.

The default pool is left alone: the clients of Triton and of KServe both register the package
`inference` there, so a third registration would keep them from being imported beside Berth.
Field numbers are those of open_inference_grpc.proto and of Triton's grpc_service.proto; of the
latter only what clients ask for is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"

_MESSAGES: Mapping[str, str] = {
    "InferParameter": "bool bool_param 1|int64 int64_param 2|string string_param 3"
    "|double double_param 4|uint64 uint64_param 5",
    "ModelRepositoryParameter": "bool bool_param 1|int64 int64_param 2|string string_param 3"
    "|bytes bytes_param 4",
    "InferTensorContents": "*bool bool_contents 1|*int32 int_contents 2|*int64 int64_contents 3"
    "|*uint32 uint_contents 4|*uint64 uint64_contents 5|*float fp32_contents 6"
    "|*double fp64_contents 7|*bytes bytes_contents 8",
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready 1",
    "ModelReadyRequest": "string name 1|string version 2",
    "ModelReadyResponse": "bool ready 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name 1|string version 2|*string extensions 3",
    "ModelMetadataRequest": "string name 1|string version 2",
    "TensorMetadata": "string name 1|string datatype 2|*int64 shape 3",
    "ModelMetadataResponse": "string name 1|*string versions 2|string platform 3"
    "|*TensorMetadata inputs 4|*TensorMetadata outputs 5",
    "InferInputTensor": "string name 1|string datatype 2|*int64 shape 3"
    "|%InferParameter parameters 4|InferTensorContents contents 5",
    "InferRequestedOutputTensor": "string name 1|%InferParameter parameters 2",
    "ModelInferRequest": "string model_name 1|string model_version 2|string id 3"
    "|%InferParameter parameters 4|*InferInputTensor inputs 5"
    "|*InferRequestedOutputTensor outputs 6|*bytes raw_input_contents 7",
    "InferOutputTensor": "string name 1|string datatype 2|*int64 shape 3"
    "|%InferParameter parameters 4|InferTensorContents contents 5",
    "ModelInferResponse": "string model_name 1|string model_version 2|string id 3"
    "|%InferParameter parameters 4|*InferOutputTensor outputs 5|*bytes raw_output_contents 6",
    "RepositoryIndexRequest": "string repository_name 1|bool ready 2",
    "ModelIndex": "string name 1|string version 2|string state 3|string reason 4",
    "RepositoryIndexResponse": "*ModelIndex models 1",
    "RepositoryModelLoadRequest": "string repository_name 1|string model_name 2"
    "|%ModelRepositoryParameter parameters 3",
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": "string repository_name 1|string model_name 2"
    "|%ModelRepositoryParameter parameters 3",
    "RepositoryModelUnloadResponse": "",
    "ModelConfigRequest": "string name 1|string version 2",
    "ModelInput": "string name 1|int32 data_type 2|int32 format 3|*int64 dims 4",
    "ModelOutput": "string name 1|int32 data_type 2|*int64 dims 3",
    "ModelConfig": "string name 1|string platform 2|int32 max_batch_size 4|*ModelInput input 5"
    "|*ModelOutput output 6|string backend 17",
    "ModelConfigResponse": "ModelConfig config 1",
    "ModelStatisticsRequest": "string name 1|string version 2",
    "StatisticDuration": "uint64 count 1|uint64 ns 2",
    "InferStatistics": "StatisticDuration success 1|StatisticDuration fail 2"
    "|StatisticDuration queue 3|StatisticDuration compute_input 4"
    "|StatisticDuration compute_infer 5|StatisticDuration compute_output 6",
    "ModelStatistics": "string name 1|string version 2|uint64 last_inference 3"
    "|uint64 inference_count 4|uint64 execution_count 5|InferStatistics inference_stats 6",
    "ModelStatisticsResponse": "*ModelStatistics model_stats 1",
}
"""Fields as `TYPE NAME NUMBER`; `*` marks a repeated one, `%` a map from text."""
_CHOICES = frozenset({"InferParameter", "ModelRepositoryParameter"})
"""Messages of which at most one field is set."""
_CONFIG_ORDER = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES", "BF16"),
)
CONFIG_TYPES: Mapping[str, int] = {name: n for n, name in enumerate(_CONFIG_ORDER, start=1)}
"""Numbers of Triton's enum `DataType`."""


def _build() -> dict[str, Any]:
    """Return the message classes by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="berth/open_inference.proto", package=PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _CHOICES:
            message.oneof_decl.add(name="parameter_choice")
        for text in filter(None, fields.split("|")):
            _add_field(message, text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _add_field(message: Any, text: str) -> None:  # noqa: ANN401 - protobuf has no types here
    """Add a field to the description of a message."""
    kind, name, number = text.lstrip("*%").split(" ")
    field = message.field.add(name=name, number=int(number))
    repeated = text[0] in "*%"
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if text[0] == "%":
        entry_name = "".join(part.title() for part in name.split("_")) + "Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        for inner in ("string key 1", f"{kind} value 2"):
            _add_field(entry, inner)
        _set_type(field, f"{message.name}.{entry_name}")
        return
    _set_type(field, kind)
    if message.name in _CHOICES:
        field.oneof_index = 0


def _set_type(field: Any, kind: str) -> None:  # noqa: ANN401 - as above
    number = getattr(field, f"TYPE_{kind.upper()}", None)
    if number is None:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"
    else:
        field.type = number


CLASSES: Mapping[str, Any] = _build()
"""Message classes by name."""
