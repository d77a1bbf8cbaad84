"""Conditions in the Common Expression Language (CEL), the only home of the `cel` library."""

from engine.expressions.analysis import STATE as STATE
from engine.expressions.analysis import Analysis as Analysis
from engine.expressions.analysis import Read as Read
from engine.expressions.analysis import SyntaxFaultError as SyntaxFaultError
from engine.expressions.analysis import analyse as analyse
from engine.expressions.analysis import references as references
from engine.expressions.analysis import variable as variable
from engine.expressions.conditions import CelConditions as CelConditions
from engine.expressions.conditions import compile_expression as compile_expression
