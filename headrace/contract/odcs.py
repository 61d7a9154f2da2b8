"""How a dataset file becomes an Open Data Contract Standard v3 contract, and back.

Most sections have the standard's own words. A check the standard's library does not know becomes a `custom` one of
engine `headrace`; settings that say how Headrace runs the dataset go to `customProperties`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from open_data_contract_standard.model import (
    CustomProperty,
    DataQuality,
    Description,
    OpenDataContractStandard,
    Relationship,
    SchemaObject,
    SchemaProperty,
    ServiceLevelAgreementProperty,
    Team,
    TeamMember,
)
from open_data_contract_standard.model import MapDefinition as OdcsMap
from open_data_contract_standard.model import Support as OdcsSupport

from headrace.contract.checks import Check, In, Matches, NotNull, References
from headrace.contract.fields import FORMATS, DataType, Field
from headrace.contract.loading import validated
from headrace.contract.model import SLA_PROPERTIES, Contract
from headrace.errors import ContractError, Problem

API_VERSION: Final = "v3.2.0"  # the first with maps
VENDOR: Final = "headrace"
_SEVERITIES: Final = {"reject": "error", "flag": "warning", "hold": "critical"}
_RUNNING: Final = ("classification", "source", "transform", "load", "partitions")
#: Integer widths of the standard that are stored in the next wider one here.
_WIDTHS: Final = {"i8": "i32", "i16": "i32", "u8": "i32", "u16": "i32", "u32": "i64"}

#: What the standard calls the length of a value of a logical type.
_LENGTHS: Final = {"string": "Length", "array": "Items"}


def to_odcs(contract: Contract) -> OpenDataContractStandard:
    """The contract in the words of the standard."""
    plain = contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    declared = {field.name for field in contract.schema_.fields}
    custom = [_custom(name, plain[name]) for name in _RUNNING if name in plain]
    custom += [_custom("evolution", contract.schema_.evolution), _custom("key", contract.key)]
    custom += [_custom("checkOrder", [check.name for check in contract.checks])]
    if "tests" in plain:  # as text: their nulls count, and their dates are text
        custom += [_custom("tests", json.dumps(plain["tests"], ensure_ascii=False))]
    table = SchemaObject(
        name=contract.table,
        physicalName=contract.dataset,
        physicalType="table",
        properties=[_property(field, contract) for field in contract.schema_.fields] or None,
        quality=[_quality(check) for check in contract.checks if check.subject() not in declared] or None,
    )
    return OpenDataContractStandard(
        apiVersion=API_VERSION,
        kind="DataContract",
        id=contract.dataset,
        name=contract.dataset,
        version="1.0.0",
        status="active",
        domain=contract.domain,
        description=Description(purpose=contract.description),
        tags=contract.tags or None,
        team=Team(
            name=contract.owner.team,
            description=contract.owner.description,
            members=[TeamMember(**member.model_dump()) for member in contract.owner.members] or None,
        ),
        support=[OdcsSupport(**support.model_dump()) for support in contract.owner.support] or None,
        schema=[table],
        slaProperties=_promises(contract) or None,
        customProperties=custom,
    )


def from_odcs(odcs: OpenDataContractStandard, table_name: str | None = None) -> Contract:
    """The contract that a standard one describes of one of its tables. See `left_out` for what it does not hold.

    A contract made elsewhere has no source here; it is taken to be pushed by HTTP until one is given. Errors:
    ContractError for what has no place in a dataset file, and when it is not said which of several tables is meant.
    """
    custom = {c.property: c.value for c in odcs.customProperties or []}
    table = _table(odcs, table_name)
    properties = table.properties or []
    keyed = sorted((p for p in properties if p.primaryKey), key=lambda p: p.primaryKeyPosition or 0)
    checks = [_check(quality, None) for quality in table.quality or []]
    for declared in properties:
        checks += [_check(quality, declared.name) for quality in declared.quality or []]
        checks += _lengths(declared)
    order = {name: i for i, name in enumerate(custom.get("checkOrder") or [])}
    promises = odcs.slaProperties or []
    description = odcs.description or Description()
    return validated(
        {"tests": _tests(custom.get("tests"))}
        | _without_none(
            {
                "dataset": table.physicalName if custom.get("source") else _dataset_name(odcs, table),
                "description": description.purpose or description.usage or table.description or odcs.name or odcs.id,
                "owner": _owner(odcs),
                "tags": odcs.tags,
                "source": {"type": "http_push"},
                "schema": {"fields": [_field(p) for p in properties], "evolution": custom.get("evolution")},
                "key": custom.get("key") or [p.name for p in keyed],
                "checks": sorted(checks, key=lambda check: order.get(check.get("name"), len(order))),
                "sla": [_promise(p) for p in promises if p.property in SLA_PROPERTIES],
                "retention": next((_retention(p) for p in promises if p.property == "retention"), None),
                **{name: custom[name] for name in _RUNNING if name in custom},
            }
        ),
        odcs.id or "<contract>",
    )


def _tests(written: Any) -> Any:
    try:
        return json.loads(written) if isinstance(written, str) else []
    except ValueError:
        return written  # refused by name when the contract is validated


def left_out(odcs: OpenDataContractStandard) -> list[str]:
    """What a standard contract says that a dataset file has no word for, each as text for a person."""
    known = {*SLA_PROPERTIES, "retention"}
    return [f"slaProperties: {p.property} {p.value}" for p in odcs.slaProperties or [] if p.property not in known]


def _table(odcs: OpenDataContractStandard, name: str | None) -> SchemaObject:
    tables = odcs.schema_ or [SchemaObject()]
    names = [table.name or table.physicalName or "" for table in tables]
    if name is None and len(tables) == 1:
        return tables[0]
    if name not in names:
        found = "several tables" if name is None else f"no table {name!r}"
        problem = Problem(0, 0, "schema", found, f"one of {', '.join(names)} to be chosen: a dataset file is one table")
        raise ContractError([problem], odcs.id or "<contract>")
    return tables[names.index(name)]


def _custom(name: str, value: Any) -> CustomProperty:
    return CustomProperty(property=name, value=value, vendor=VENDOR)


def _property(field: Field, contract: Contract) -> SchemaProperty:
    checks = [check for check in contract.checks if check.subject() == field.name]
    result = _type(field)
    result.name = field.name
    result.description = field.description
    result.classification = field.classification
    result.tags = field.tags or None
    result.examples = field.examples or None
    result.quality = [_quality(check) for check in checks] or None
    result.relationships = [
        Relationship(type="foreignKey", to=f"{check.dataset.rpartition('.')[2]}.{check.to}")
        for check in checks
        if isinstance(check, References)
    ] or None
    if field.name in contract.key:
        result.primaryKey, result.primaryKeyPosition = True, contract.key.index(field.name) + 1
    return result


def _type(declared: DataType) -> SchemaProperty:
    def inner(field: Field) -> SchemaProperty:
        prop = _type(field)
        prop.name, prop.description, prop.classification = field.name, field.description, field.classification
        prop.tags, prop.examples = field.tags or None, field.examples or None
        return prop

    return SchemaProperty(
        logicalType=declared.logicalType,
        logicalTypeOptions=declared.logicalTypeOptions.model_dump(exclude_none=True) or None,
        physicalType=declared.physicalType,
        required=declared.required or None,
        items=_type(declared.items) if declared.items else None,
        properties=[inner(field) for field in declared.properties] or None,
        map=OdcsMap(key=_type(declared.map.key), value=_type(declared.map.value)) if declared.map else None,
    )


def _field(declared: SchemaProperty) -> dict[str, Any]:
    return {
        "name": declared.name,
        "description": declared.description,
        "classification": declared.classification,
        "tags": declared.tags,
        "examples": declared.examples,
        **_data_type(declared),
    }


def _data_type(declared: SchemaProperty) -> dict[str, Any]:
    kind = declared.logicalType or "string"
    options = declared.logicalTypeOptions or {}
    format_ = _WIDTHS.get(str(options.get("format")), options.get("format"))
    decimal = re.fullmatch(r"(?:decimal|numeric)(\(\d+, ?\d+\))", declared.physicalType or "", re.IGNORECASE)
    free_object = kind == "object" and not declared.properties
    return {
        "logicalType": kind,
        "logicalTypeOptions": {
            "format": format_ if format_ in FORMATS.get(kind, ()) else None,
            "timezone": options.get("timezone") if kind == "timestamp" else None,
        },
        "physicalType": f"decimal{decimal[1]}" if decimal and kind == "number" else "json" if free_object else None,
        "required": declared.required,
        "items": _data_type(declared.items) if declared.items else None,
        "properties": [_field(inner) for inner in declared.properties or []],
        "map": {"key": _data_type(declared.map.key), "value": _data_type(declared.map.value)}
        if declared.map and declared.map.key and declared.map.value
        else None,
    }


def _quality(check: Check) -> DataQuality:
    quality = DataQuality(name=check.name, description=check.description, severity=_SEVERITIES[check.severity])
    match check:
        case NotNull():
            quality.type, quality.metric, quality.mustBe = "library", "nullValues", 0
        case In():
            quality.type, quality.metric, quality.mustBe = "library", "invalidValues", 0
            quality.arguments = {"validValues": check.values}
        case Matches():
            quality.type, quality.metric, quality.mustBe = "library", "invalidValues", 0
            quality.arguments = {"pattern": check.pattern}
        case _:
            told = {"name", "description", "severity"}
            quality.type, quality.engine = "custom", VENDOR
            quality.implementation = check.model_dump(mode="json", exclude=told, exclude_defaults=True)
    if quality.type == "library":
        quality.customProperties = [_custom("column", check.subject())]
    if check.severity == "hold":  # no word of the standard's means it
        quality.customProperties = [*(quality.customProperties or []), _custom("severity", "hold")]
    return quality


def _check(quality: DataQuality, column: str | None) -> dict[str, Any]:
    custom = {c.property: c.value for c in quality.customProperties or []}
    told = {
        "name": quality.name,
        "description": quality.description,
        "severity": custom.get("severity") or ("flag" if quality.severity in ("info", "warning") else "reject"),
    }
    column = column or custom.get("column")
    arguments = quality.arguments or {}
    metric = quality.metric or quality.rule
    if quality.type == "custom" and quality.engine == VENDOR and isinstance(quality.implementation, Mapping):
        return {**quality.implementation, **told}
    if metric in ("nullValues", "missingValues") and quality.mustBe == 0:
        return {"check": "not_null", "column": column, **told}
    if metric == "invalidValues" and quality.mustBe == 0 and "validValues" in arguments:
        return {"check": "in", "column": column, "values": arguments["validValues"], **told}
    if metric == "invalidValues" and quality.mustBe == 0 and "pattern" in arguments:
        return {"check": "matches", "column": column, "pattern": arguments["pattern"], **told}
    return {"check": metric or quality.type, **told}  # refused by name when the contract is validated


def _lengths(declared: SchemaProperty) -> list[dict[str, Any]]:
    """The check that the lengths among the options of a type amount to. What was exported here has a check of its own for it."""
    options, of = declared.logicalTypeOptions or {}, _LENGTHS.get(declared.logicalType or "string")
    ends = {end: options[f"{end}{of}"] for end in ("min", "max") if options.get(f"{end}{of}") is not None}
    return [{"check": "length", "column": declared.name, **ends}] if ends else []


def _promises(contract: Contract) -> list[ServiceLevelAgreementProperty]:
    promises = [ServiceLevelAgreementProperty(**promise.model_dump()) for promise in contract.sla]
    if contract.retention:
        promises.append(ServiceLevelAgreementProperty(property="retention", **contract.retention.model_dump()))
    return promises


def _promise(promise: ServiceLevelAgreementProperty) -> dict[str, Any]:
    element = (promise.element or "").rpartition(".")[2] or None  # elsewhere written table.column
    return {**promise.model_dump(include={"property", "value", "unit", "driver", "description"}), "element": element}


def _retention(promise: ServiceLevelAgreementProperty) -> dict[str, Any]:
    told = _promise(promise)
    return {"value": told["value"], "unit": (told["unit"] or "d")[0].lower(), "element": told["element"]}


def _owner(odcs: OpenDataContractStandard) -> dict[str, Any]:
    team = odcs.team if isinstance(odcs.team, Team) else Team(members=odcs.team)
    members = [m.model_dump(include={"username", "name", "role"}) for m in team.members or []]
    support = [s.model_dump(include={"channel", "url"}) for s in odcs.support or []]
    return {
        "team": team.name or odcs.domain or "unknown",
        "description": team.description,
        "members": members,
        "support": support,
    }


def _dataset_name(odcs: OpenDataContractStandard, table: SchemaObject) -> str:
    """A dataset name made of what a contract from elsewhere calls its domain and table."""

    def word(text: Iterable[str | None], otherwise: str) -> str:
        chosen = next((part for part in text if part), otherwise)
        return re.sub(r"[^a-z0-9]+", "_", chosen.lower()).lstrip("_0123456789").rstrip("_") or otherwise

    return f"{word([odcs.domain], 'imported')}.{word([table.name, odcs.name, odcs.id], 'table')}"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
