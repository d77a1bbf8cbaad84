"""What `model.json` beside a model says of it."""

from __future__ import annotations

import enum
from pathlib import Path

import msgspec

from engine.model.errors import DamagedError
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.tensors import DTYPES

FILE = "model.json"


class Isolation(enum.Enum):
    """Where a model runs."""

    AUTO = "auto"
    INLINE = "inline"
    PROCESS = "process"


class TensorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output that the model file does not describe itself."""

    name: str
    datatype: str
    shape: list[int]


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests without a version are shared among versions.

    canary: version that gets `canary_percent` of the requests. shadow: version that gets a copy of
    each request, whose answer is only compared. header: name of a header whose value is looked up
    in `variants` and names the version; it goes before the canary.
    """

    canary: str = ""
    canary_percent: float = 0.0
    shadow: str = ""
    header: str = ""
    variants: dict[str, str] = {}

    @property
    def versions(self) -> set[str]:
        """All versions it names."""
        return {self.canary, self.shadow, *self.variants.values()} - {""}


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a model; a version's own file goes before its model's.

    versions: which to serve, the newest if empty. default: the one for requests without version.
    outputs_given: outputs to give where fewer than all are wanted. queue_max: requests that may
    wait. batch_rows_max: rows that run together.
    """

    versions: list[str] = []
    default: str = ""
    isolation: Isolation = Isolation.AUTO
    inputs: list[TensorSettings] = []
    outputs: list[TensorSettings] = []
    outputs_given: list[str] = []
    queue_max: int = 1024
    batch_rows_max: int = 1024
    memory_gib_max: float = 0.0
    routing: Routing = Routing()
    parameters: dict[str, str] = {}


def read(folder: Path) -> ModelSettings:
    """Read the settings in a folder; those of a model without a file are the defaults.

    Raises:
        DamagedError: when the file breaks its schema.
    """
    path = folder / FILE
    return decode(path.read_bytes(), str(path)) if path.exists() else ModelSettings()


def decode(data: bytes, name: str) -> ModelSettings:
    """Read settings from bytes.

    Raises:
        DamagedError: when they break their schema.
    """
    try:
        found = msgspec.json.decode(data, type=ModelSettings)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DamagedError(f"{name!r}: {error}", fix="correct the settings") from error
    if not 0 <= found.routing.canary_percent <= 100:  # noqa: PLR2004 - percent
        message = f"{name!r}: canary_percent is {found.routing.canary_percent}"
        raise DamagedError(message, fix="choose 0 to 100")
    if found.queue_max < 1 or found.batch_rows_max < 1:
        raise DamagedError(f"{name!r}: a limit is below 1", fix="choose 1 or more")
    for tensor in (*found.inputs, *found.outputs):
        if tensor.datatype not in DTYPES:
            message = f"{name!r}: {tensor.name!r} has datatype {tensor.datatype!r}"
            raise DamagedError(message, fix=f"choose one of {', '.join(DTYPES)}")
    return found


def specs(found: list[TensorSettings]) -> tuple[TensorSpec, ...]:
    """Return inputs or outputs as a runner has them."""
    return tuple(
        TensorSpec(name=each.name, datatype=each.datatype, shape=tuple(each.shape))
        for each in found
    )
