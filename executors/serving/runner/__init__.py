"""The reusable model runner: any model behind any protobuf schema, both swapped while it serves.

It answers the eleven endpoints of Acumos's generic model runner (`docs/how-to/model-runner.md`).
"""

from executors.serving.runner.errors import CallError as CallError
from executors.serving.runner.schema import Schema as Schema
from executors.serving.runner.schema import compile_schema as compile_schema
