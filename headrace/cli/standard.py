"""How a dataset file is written in the words of the Open Data Contract Standard v3, and a contract in them as a dataset file."""

from io import StringIO
from typing import Any

import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from headrace.contract import Contract, load, odcs
from headrace.errors import HeadraceError


def exported(text: str, origin: str) -> str:
    """A dataset file as a contract of the standard. Errors: ContractError when it is not valid."""
    return odcs.to_odcs(load(text, origin)).to_yaml()


def imported(text: str, origin: str, table: str | None = None) -> tuple[str, list[str]]:
    """A contract of the standard as a dataset file, and what of it the file does not hold.

    Errors: HeadraceError when it is no contract, or has no place here.
    """
    try:
        standard = OpenDataContractStandard.from_string(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(part) for part in f['loc'])}: {f['msg']}" for f in error.errors()[:5])
        raise HeadraceError(f"{origin}: not a contract of the standard: {faults}.") from error
    except (yaml.YAMLError, TypeError) as error:
        raise HeadraceError(f"{origin}: not a contract of the standard: {error}") from error
    return dataset_file(odcs.from_odcs(standard, table)), odcs.left_out(standard)


def dataset_file(contract: Contract) -> str:
    """A contract as the text of a dataset file: only what differs from the defaults, SQL as a block."""
    writer = YAML()
    writer.width = 120
    writer.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    writer.dump(_blocks(contract.model_dump(mode="json", by_alias=True, exclude_defaults=True)), text)
    return text.getvalue()


def _blocks(value: Any) -> Any:
    match value:
        case dict():
            return {key: _blocks(item) for key, item in value.items()}
        case list():
            return [_blocks(item) for item in value]
        case str() if "\n" in value:
            return LiteralScalarString(value)
    return value
