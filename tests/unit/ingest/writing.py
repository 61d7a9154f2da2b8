"""Writes files for tests, in the formats that take more than a line."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import fastavro

_OFFICE: Final = "http://schemas.openxmlformats.org"
_TYPES: Final = f'''<Types xmlns="{_OFFICE}/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/></Types>'''
_RELATION: Final = (
    f'<Relationships xmlns="{_OFFICE}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{_OFFICE}/officeDocument/2006/relationships/%s" Target="%s"/></Relationships>'
)


def write_avro(file: Path, rows: Sequence[Mapping[str, Any]], codec: str = "deflate", interval: int = 100) -> None:
    """Rows with an id and a name; a block has about `interval` bytes."""
    schema = {
        "type": "record",
        "name": "row",
        "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}],
    }
    with file.open("wb") as out:
        fastavro.writer(out, fastavro.parse_schema(schema), rows, codec, sync_interval=interval)


def write_xlsx(file: Path, rows: Sequence[Mapping[str, Any]], sheet: str = "Sheet1", first_row: int = 1) -> None:
    """Rows under a header, which is in row `first_row`."""
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    write_sheet(file, "".join(_row(number, cells) for number, cells in enumerate(table, first_row)), sheet)


def write_sheet(file: Path, xml: str, sheet: str = "Sheet1") -> None:
    """A workbook with one sheet, whose rows are given as they stand in it."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("[Content_Types].xml", _TYPES)
        out.writestr("_rels/.rels", _RELATION % ("officeDocument", "xl/workbook.xml"))
        out.writestr("xl/_rels/workbook.xml.rels", _RELATION % ("worksheet", "worksheets/sheet1.xml"))
        out.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_OFFICE}/spreadsheetml/2006/main" '
            f'xmlns:r="{_OFFICE}/officeDocument/2006/relationships"><sheets>'
            f'<sheet name="{escape(sheet)}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        out.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{_OFFICE}/spreadsheetml/2006/main"><sheetData>{xml}</sheetData></worksheet>',
        )


def _row(number: int, cells: Sequence[Any]) -> str:
    return (
        f'<row r="{number}">'
        + "".join(_cell(f"{chr(65 + at)}{number}", cell) for at, cell in enumerate(cells))
        + "</row>"
    )


def _cell(place: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'
