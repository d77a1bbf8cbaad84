"""The problem as a linear programme with bulk sparse input, for HiGHS and for CP-SAT.

Variables are the units of each item in each bin that can hold at least one, then the units left
out. Rows of capacity that cannot bind are not written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ortools.linear_solver.python import model_builder_helper as builder
from ortools.math_opt import model_pb2
from ortools.math_opt.python import mathopt
from scipy import sparse

from placement.assignment.problem import AssignmentProblem, Integers, Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """Arrays of the programme: minimise objective @ x, lower <= matrix @ x <= upper.

    Attributes:
        item, bin: Of each variable of placed units; the variables of units left out follow.
        most: Upper bounds of all variables; the lower bounds are 0.
        row: Flat number (bin * rows + row) of each capacity constraint; they follow the
            constraints that every unit stands somewhere, one an item.
    """

    item: Integers
    bin: Integers
    most: Numbers
    objective: Numbers
    matrix: sparse.csr_matrix
    lower: Numbers
    upper: Numbers
    row: Integers


def programme_of(problem: AssignmentProblem, most: Integers) -> Programme:
    """Return the programme of a problem; `most` bounds the units of each item by bin."""
    item, at = np.nonzero(most)
    items = np.arange(problem.items)
    placed = len(item)
    whole = sparse.csr_matrix(
        (
            np.ones(placed + problem.items),
            (np.concatenate([item, items]), np.arange(placed + problem.items)),
        )
    )
    takes = takes_of(problem, item, at)
    at_most = most[item, at].astype(float)
    binding = np.flatnonzero(takes @ at_most > problem.capacity.ravel())
    nowhere = sparse.csr_matrix((len(binding), problem.items))
    matrix = sparse.csr_matrix(sparse.vstack([whole, sparse.hstack([takes[binding], nowhere])]))
    count = problem.count.astype(float)
    return Programme(
        item=item,
        bin=at,
        most=np.concatenate([at_most, count]),
        objective=np.concatenate([problem.cost[item, at], problem.penalties()]).astype(float),
        matrix=matrix,
        lower=np.concatenate([count, np.full(len(binding), -np.inf)]),
        upper=np.concatenate([count, problem.capacity.ravel()[binding].astype(float)]),
        row=binding,
    )


def model_of(programme: Programme) -> builder.ModelBuilderHelper:
    """Return the programme as a model of CP-SAT's bulk door, with real variables."""
    model = builder.ModelBuilderHelper()
    # The stubs of this function name the types of arrays the wrong way round.
    fill: Callable[..., None] = model.fill_model_from_sparse_data
    fill(
        np.zeros(len(programme.most)),
        programme.most,
        programme.objective,
        programme.lower,
        programme.upper,
        programme.matrix,
    )
    return model


def linear_model_of(programme: Programme) -> mathopt.Model:
    """Return the programme as a model of MathOpt, rows and variables numbered as here."""
    variables, rows = len(programme.most), len(programme.lower)
    proto = model_pb2.ModelProto()
    proto.variables.ids.extend(range(variables))
    proto.variables.lower_bounds.extend([0.0] * variables)
    proto.variables.upper_bounds.extend(programme.most.tolist())
    proto.variables.integers.extend([False] * variables)
    proto.objective.linear_coefficients.ids.extend(range(variables))
    proto.objective.linear_coefficients.values.extend(programme.objective.tolist())
    proto.linear_constraints.ids.extend(range(rows))
    proto.linear_constraints.lower_bounds.extend(programme.lower.tolist())
    proto.linear_constraints.upper_bounds.extend(programme.upper.tolist())
    entries = programme.matrix.sorted_indices().tocoo()
    proto.linear_constraint_matrix.row_ids.extend(entries.row.tolist())
    proto.linear_constraint_matrix.column_ids.extend(entries.col.tolist())
    proto.linear_constraint_matrix.coefficients.extend(entries.data.tolist())
    return mathopt.Model.from_model_proto(proto)


def takes_of(problem: AssignmentProblem, item: Integers, at: Integers) -> sparse.csr_matrix:
    """Return what each variable takes of each row of each bin: (bins * rows, variables)."""
    shared = problem.demand.shape[1] == 1
    keys = item if shared else item * problem.bins + at
    flat = sparse.csr_matrix(problem.demand.reshape(-1, problem.rows).astype(float))
    chosen = flat[keys].tocoo()
    shape = (problem.bins * problem.rows, len(item))
    rows = at[chosen.row] * problem.rows + chosen.col
    return sparse.csr_matrix((chosen.data, (rows, chosen.row)), shape=shape)
