"""Calls about rows of datasets as files."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from headrace.client.call import Call, Pieces, Request, delete, get, post
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call, pieces
from headrace.client.results.exports import Export, ExportSchedule

ExportFormat = Literal["csv", "jsonl", "parquet", "arrow"]
Destination = Literal["download", "s3"]

_PATIENCE_S: Final = 600.0  # for a piece: a query that sorts or searches long sends nothing meanwhile


class Exports(Group[WireT]):
    """Exports. `headrace.client.downloads` writes down how complete a file is, and goes on with one that broke off."""

    @pieces
    def rows(
        self, dataset: str, form: ExportFormat = "csv", columns: Sequence[str] = (), where: str = ""
    ) -> Pieces[bytes]:
        """The rows of a dataset as a file, while it is made."""
        request = _file("/datasets/{name}/export", name=dataset)
        return request.asking(format=form, columns=",".join(columns), where=where).pieces(bytes)

    @pieces
    def file(self, export: str) -> Pieces[bytes]:
        """The file of an export."""
        return _file("/exports/{id}/file", id=export).pieces(bytes)

    @call
    def start(
        self,
        dataset: str,
        form: ExportFormat = "parquet",
        columns: Sequence[str] = (),
        where: str = "",
        destination: Destination = "download",
    ) -> Call[Export]:
        """Have the rows written to a file in the background."""
        return post("/exports").with_body(**_wanted(dataset, form, columns, where, destination)).one(Export)

    @call
    def all(self, state: str | None = None) -> Call[Items[Export]]:
        """Your exports, newest first; an administrator's are everybody's."""
        return get("/exports").asking(state=state).items(Export)

    @call
    def get(self, export: str) -> Call[Export]:
        """One export."""
        return get("/exports/{id}", id=export).one(Export)

    @call
    def remove(self, export: str) -> Call[None]:
        """Cancel an export while it is made; else delete its file and forget it."""
        return delete("/exports/{id}", id=export).nothing()

    @call
    def schedule(
        self,
        dataset: str,
        cron: str,
        timezone: str = "UTC",
        form: ExportFormat = "parquet",
        columns: Sequence[str] = (),
        where: str = "",
        destination: Destination = "download",
    ) -> Call[ExportSchedule]:
        """Have a dataset exported at certain times."""
        body = _wanted(dataset, form, columns, where, destination) | {"cron": cron, "timezone": timezone}
        return post("/export-schedules").with_body(**body).one(ExportSchedule)

    @call
    def schedules(self) -> Call[Items[ExportSchedule]]:
        """Your schedules, the next to be due first."""
        return get("/export-schedules").items(ExportSchedule)

    @call
    def pause_schedule(self, schedule: str) -> Call[ExportSchedule]:
        """Let a schedule rest."""
        return post("/export-schedules/{id}/pause", id=schedule).one(ExportSchedule)

    @call
    def resume_schedule(self, schedule: str) -> Call[ExportSchedule]:
        """Go on with the time that comes next."""
        return post("/export-schedules/{id}/resume", id=schedule).one(ExportSchedule)

    @call
    def remove_schedule(self, schedule: str) -> Call[None]:
        """Take a schedule away; the exports it made stay."""
        return delete("/export-schedules/{id}", id=schedule).nothing()


def _file(template: str, **parts: object) -> Request:
    """A file, byte by byte as it was made: a proxy that packs it would make another of it."""
    return get(template, **parts).within(_PATIENCE_S).sending(Accept_Encoding="identity")


def _wanted(
    dataset: str, form: ExportFormat, columns: Sequence[str], where: str, destination: Destination
) -> dict[str, Any]:
    return {"dataset": dataset, "format": form, "columns": list(columns), "where": where, "destination": destination}
