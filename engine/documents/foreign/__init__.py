"""Pipelines of other systems, read as they are and written as Berth's own."""

from engine.documents.foreign.reading import Imported as Imported
from engine.documents.foreign.reading import import_pipeline as import_pipeline
from engine.documents.foreign.reading import is_foreign as is_foreign
from engine.documents.foreign.tables import TABLES as TABLES
from engine.documents.foreign.tables import Note as Note
