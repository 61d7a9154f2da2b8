"""Bodies: what people do with datasets, and write beside their files."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from services.gateway.adapters.http.models.rows import Column
from services.gateway.adapters.http.models.words import Answer, Body
from services.gateway.core.texts import MOST_CHARACTERS, plain_text, said

#: What somebody writes; it may be empty, which takes it away.
Text = Annotated[str, Field(max_length=MOST_CHARACTERS), AfterValidator(plain_text)]
#: What somebody says.
Said = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS), AfterValidator(said)]
ColumnOrNone = Annotated[
    str,
    Field(
        max_length=128,
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="The column it is about; empty for the dataset.",
    ),
]


class Sample(Answer):
    """Some rows, as you see them."""

    columns: list[Column]
    rows: list[list[Any]] = Field(description="Values as in QueryResult; null where a value is hidden from you.")
    hidden: list[str] = Field(description="The columns whose values, or those of some rows, are hidden from you.")
    filtered: bool = Field(description="Whether some rows are hidden from you.")


class UsageDay(Answer):
    """How much was asked for on one day (UTC)."""

    day: date
    queries: int
    exports: int


class UsageUser(Answer):
    """How much somebody has asked for."""

    name: str
    queries: int
    exports: int
    last_at: datetime


class Usage(Answer):
    """Who asks for the rows of a dataset."""

    days: list[UsageDay] = Field(description="The days on which somebody did.")
    users: list[UsageUser] = Field(description="Who has asked most comes first. At most 50.")
    queries: int
    exports: int
    last_used_at: datetime | None


class NoteEdit(Body):
    """A note, as it is to be."""

    recorded = frozenset({"column", "text", "over"})

    column: ColumnOrNone = ""
    text: Text = Field(
        description="Plain text; empty to take the note away.", examples=["Delays before 2013 are in minutes."]
    )
    over: int | None = Field(
        None,
        ge=0,
        le=2**53,
        description="The id of the state it was made of, 0 for none: it is refused when another one stands.",
    )


class NoteUndo(Body):
    """Which state of a note is to be undone."""

    recorded = frozenset({"column", "over"})

    column: ColumnOrNone = ""
    over: int = Field(ge=1, le=2**53, description="The id of the state that stands.")


class Note(Answer):
    """A state of a note."""

    id: int
    column: str
    text: str = Field(description="Plain text as it was written: escape it where you show it.")
    by: str
    at: datetime


class Notes(Answer):
    """The states of a note, the newest first: that one stands."""

    items: list[Note]


class NewThread(Body):
    """What is to be talked about."""

    recorded = frozenset({"column"})

    column: ColumnOrNone = ""
    text: Said = Field(examples=["Is a negative delay an early departure?"])


class NewRemark(Body):
    """What somebody says."""

    text: Said = Field(examples=["Yes."])


class Remark(Answer):
    """What somebody said."""

    id: str
    text: str = Field(
        description="Plain text as it was written, empty when it was taken back: escape it where you show it."
    )
    by: str
    at: datetime
    edited_at: datetime | None
    deleted: bool
    yours: bool = Field(description="Whether you may change it.")


class Thread(Answer):
    """What was said of one matter."""

    id: str
    column: str = Field(description="Empty where it is about the whole dataset.")
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str
    remarks: list[Remark]


class Threads(Answer):
    """The threads of a dataset: those that are open first, of each the newest first. At most 200."""

    items: list[Thread]
