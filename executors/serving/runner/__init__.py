"""The reusable model runner: any model behind any protobuf schema, both swapped while it serves.

It answers the eleven endpoints of Acumos's generic model runner (`docs/how-to/model-runner.md`),
and `/model/methods/{name}`.
"""

from executors.serving.runner.errors import CallError as CallError
from executors.serving.runner.runner import OwnSlot as OwnSlot
from executors.serving.runner.runner import Runner as Runner
from executors.serving.runner.runner import Slot as Slot
from executors.serving.runner.schema import Schema as Schema
from executors.serving.runner.schema import compile_schema as compile_schema
from executors.serving.runner.server import RunnerServer as RunnerServer
