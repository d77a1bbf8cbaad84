"""Documents as they were sent become pipelines, with every fault placed where it was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from api.messages.questions import Document
from engine import documents
from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Fleet
from engine.model.specs import PipelineSpec


def read(given: Sequence[Document], *, as_of: float, fleet: Fleet) -> tuple[PipelineSpec, ...]:
    """Return the pipelines of documents, which name nothing that the fleet has not.

    Raises:
        InvalidInputError: with all faults of the first document that has any.
    """
    if not given:
        fault = Fault(code="S003", message="no pipeline was given", fix="name a YAML file")
        raise InvalidInputError("the request", [fault])
    specs: list[PipelineSpec] = []
    for document in given:
        spec = read_one(document, as_of=as_of, fleet=fleet)
        if any(spec.name == other.name for other in specs):
            message = f"pipeline `{spec.name}` is in two of the documents"
            fault = Fault(code="S008", message=message, fix="keep one of the two")
            raise InvalidInputError(document.name, [fault])
        specs.append(spec)
    return tuple(specs)


def read_one(document: Document, *, as_of: float, fleet: Fleet) -> PipelineSpec:
    """Return the pipeline of one document, its folder set.

    Raises:
        InvalidInputError: with all faults.
    """
    name = document.name
    if document.mapping is not None:
        spec = documents.pipeline_from(document.mapping, name=name, as_of=as_of, fleet=fleet)
    else:
        spec = documents.read_pipeline(document.text, name=name, as_of=as_of, fleet=fleet)
    spec = spec if spec.folder else replace(spec, folder=document.folder)
    faults = documents.check_against(spec, fleet)
    if faults:
        raise InvalidInputError(name, placed(document, faults))
    return spec


def placed(document: Document, faults: Sequence[Fault]) -> Sequence[Fault]:
    """Return faults with line and column where the document has lines."""
    if document.mapping is not None:
        return faults
    return documents.place_faults(document.text, faults, name=document.name)
