"""The dataset file: what it can say, how it is read, and what follows from it."""

from headrace.contract.changes import Change, diff, needs_generation
from headrace.contract.checks import (
    Between,
    Check,
    Expression,
    FormatIs,
    FormatName,
    In,
    Length,
    Matches,
    NotNull,
    References,
    TypeIs,
    Unique,
    waiting_checks,
)
from headrace.contract.dependencies import cycle, dependencies, in_dependency_order
from headrace.contract.drift import DRIFT, Decision, FileEdit
from headrace.contract.fields import DataType, Field
from headrace.contract.impact import Impact, impact
from headrace.contract.lineage import Outputs, Reader, checks_on, outputs_of, readers_of, settings_on
from headrace.contract.loading import load, load_with_tests
from headrace.contract.model import Contract, json_schema
from headrace.contract.source import SourceSettings, kinds
from headrace.contract.sql import (
    NO_MATCH,
    CompiledTransform,
    compile_transform,
    examine_expression,
    reference_table,
)
from headrace.contract.transform_tests import Expectation, TransformTest
from headrace.contract.types import arrow_schema, arrow_type, declaration, plain_type
from headrace.errors import ContractError, Problem

__all__ = [
    "DRIFT",
    "NO_MATCH",
    "Between",
    "Change",
    "Check",
    "CompiledTransform",
    "Contract",
    "ContractError",
    "DataType",
    "Decision",
    "Expectation",
    "Expression",
    "Field",
    "FileEdit",
    "FormatIs",
    "FormatName",
    "Impact",
    "In",
    "Length",
    "Matches",
    "NotNull",
    "Outputs",
    "Problem",
    "Reader",
    "References",
    "SourceSettings",
    "TransformTest",
    "TypeIs",
    "Unique",
    "arrow_schema",
    "arrow_type",
    "checks_on",
    "compile_transform",
    "cycle",
    "declaration",
    "dependencies",
    "diff",
    "examine_expression",
    "impact",
    "in_dependency_order",
    "json_schema",
    "kinds",
    "load",
    "load_with_tests",
    "needs_generation",
    "outputs_of",
    "plain_type",
    "readers_of",
    "reference_table",
    "settings_on",
    "waiting_checks",
]
