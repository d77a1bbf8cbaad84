"""Documents people write: pipelines and fleets, from YAML and plain data, faults placed."""

from engine.documents.codecs.base import alike as alike
from engine.documents.codecs.money import MICRO_DOLLARS_MAX as MICRO_DOLLARS_MAX
from engine.documents.codecs.money import read_amount as read_amount
from engine.documents.codes import CODES as CODES
from engine.documents.codes import Code as Code
from engine.documents.fleet_names import check_against as check_against
from engine.documents.fleets import fleet_from as fleet_from
from engine.documents.fleets import fleet_mapping as fleet_mapping
from engine.documents.fleets import fleet_schema as fleet_schema
from engine.documents.fleets import pool_from as pool_from
from engine.documents.fleets import pool_mapping as pool_mapping
from engine.documents.fleets import read_fleet as read_fleet
from engine.documents.pipelines import Filled as Filled
from engine.documents.pipelines import filled_defaults as filled_defaults
from engine.documents.pipelines import pipeline_from as pipeline_from
from engine.documents.pipelines import pipeline_mapping as pipeline_mapping
from engine.documents.pipelines import pipeline_schema as pipeline_schema
from engine.documents.pipelines import read_pipeline as read_pipeline
from engine.documents.yaml_text import place_faults as place_faults
from engine.documents.yaml_text import plain_value as plain_value
