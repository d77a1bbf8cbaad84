"""The port `Conditions` by CEL."""

from __future__ import annotations

from collections.abc import Mapping

from engine.expressions import analysis
from engine.model.errors import FinalError


class CompiledExpression:
    """An expression ready to be evaluated any number of times."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        try:
            self._program = analysis.check_syntax(expression)
        except analysis.SyntaxFaultError as error:
            message = f"condition {expression!r} cannot be parsed: {error}"
            raise FinalError(message, code="S013", fix=error.fix) from error
        self._tasks = {task for task, _ in analysis.references(expression)}

    def holds(self, values: Mapping[str, object]) -> bool:
        """Return whether the expression is true; arguments and errors as in `Conditions`."""
        # A task that was skipped has no entry; as an empty mapping `has(...)` can test it.
        context: dict[str, object] = {task: {} for task in self._tasks}
        context.update({analysis.variable(task): outputs for task, outputs in values.items()})
        try:
            result = self._program.execute(context)
        except KeyError as error:
            message = f"condition {self._expression!r} reads {error}, which was not written"
            raise FinalError(message, code="S015", fix="guard it with `has(...)`") from error
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
            message = f"condition {self._expression!r} cannot be evaluated: {error}"
            raise FinalError(message, code="S013") from error
        if not isinstance(result, bool):
            message = f"condition {self._expression!r} gives {result!r}, neither true nor false"
            raise FinalError(message, code="S013", fix="compare it with something")
        return result


def compile_expression(expression: str) -> CompiledExpression:
    """Return an expression ready to be evaluated.

    Raises:
        FinalError: when it cannot be parsed; the message names expression and reason.
    """
    return CompiledExpression(expression)


class CelConditions:
    """Evaluates `when` expressions; `values` maps task names to their outputs."""

    def holds(self, expression: str, values: Mapping[str, object]) -> bool:
        """Return whether the expression is true of `values`.

        Raises:
            FinalError: when it cannot be parsed or evaluated, or is neither true nor false.
        """
        return compile_expression(expression).holds(values)
