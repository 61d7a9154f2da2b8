"""What there is of the datasets that a model reads, and what of it is still on its way to the warehouse.

Services meet in topics: where each dataset's raw topic ended when a run became due is asked of the brokers, and followed from
consumer group to consumer group; runs are followed in their topic.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.kafka.chain import Chain, hops
from headrace.stream.kafka.ends import Ends
from headrace.stream.runs import History
from headrace.stream.service import LiveDataset
from services.ingest.adapters.known_wishes import KnownWishes
from services.ingest.core.upstreams import Inputs, Upstream, lacking, needed_run


class KnownDatasets:
    """The datasets that are live, as of the last look. To be shared by threads: what is known is replaced, never changed."""

    def __init__(self) -> None:
        self._known: Mapping[str, LiveDataset] = {}

    def learn(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Take note of them."""
        self._known = dict(datasets)

    def get(self, name: str) -> LiveDataset | None:
        """A dataset by its name."""
        return self._known.get(name)


class Upstreams:
    """See `headrace.connector.Upstreams`. For one model; used by one thread."""

    def __init__(
        self, references: Collection[str], connection: Connection, datasets: KnownDatasets, wishes: KnownWishes
    ) -> None:
        self._references = tuple(references)
        self._connection = connection
        self._datasets = datasets
        self._wishes = wishes
        self._ends = Ends(connection)
        self._needed: datetime | None = None
        self._begun: Inputs = {}
        self._runs: dict[str, int] = {}
        self._chains: dict[str, Chain] = {}

    def now(self) -> Inputs:
        """What there is of each dataset. Errors: Transient."""
        return self._there(self._references)

    def begin(self) -> datetime:
        """See `headrace.connector.Upstreams.begin`."""
        if self._needed is None:
            self._wishes.refresh()
            needed = datetime.now(UTC)
            self._begun = self.now()
            followed = [name for name in self._references if self._in_runs(name)]
            self._runs = {name: needed_run(self._upstream(name), needed) for name in followed}
            self._needed = needed
        return self._needed

    def awaited(self) -> Collection[str]:
        """See `headrace.connector.Upstreams.awaited`."""
        found = []
        for name in self._references:
            if self._datasets.get(name) is None:
                found.append(f"{name}, which is not live")
            elif self._in_runs(name):
                found += filter(None, [lacking(self._upstream(name), self._runs.get(name, 1))])
            elif not self._loaded(name):
                found.append(f"rows of {name} that are on their way to the warehouse")
        return found

    def inputs(self) -> Inputs:
        """See `headrace.connector.Upstreams.inputs`."""
        shown = self._there(name for name in self._references if self._in_runs(name))
        return {**(self._begun or self.now()), **shown}

    def shows(self) -> Mapping[str, Sequence[int]]:
        """See `headrace.connector.Upstreams.shows`."""
        histories = {name: self._wishes.history(name) for name in self._references if self._in_runs(name)}
        return {
            name: [number for each in history.current.ranges for number in each] if history.current is not None else []
            for name, history in histories.items()
        }

    def end(self) -> None:
        """See `headrace.connector.Upstreams.end`."""
        self._needed = None
        for chain in self._chains.values():
            chain.close()
        self._chains.clear()

    def _in_runs(self, name: str) -> bool:
        found = self._datasets.get(name)
        return found is not None and found.contract.load.mode == "replace"

    def _loaded(self, name: str) -> bool:
        found = self._datasets.get(name)
        assert found is not None
        if name not in self._chains:
            self._chains[name] = Chain(self._connection, hops(name, found.generation))
        return self._chains[name].passed(dict(enumerate(self._begun.get(name, ()))))

    def _upstream(self, name: str) -> Upstream:
        found = self._datasets.get(name)
        assert found is not None
        source = found.contract.source
        triggered = source.schedule is not None and source.schedule.trigger is not None
        inputs = self._there(source.references) if triggered else {}
        return Upstream(name, found.version, source.schedule, self._wishes.history(name), inputs)

    def _there(self, names: Iterable[str]) -> Inputs:
        given = list(names)
        runs = {name: self._shown(self._wishes.history(name)) for name in given if self._in_runs(name)}
        raws = {name: topics.raw(name) for name in given if name not in runs and self._datasets.get(name) is not None}
        ends = self._ends.of(raws.values())
        return {**runs, **{name: ends[topic] for name, topic in raws.items()}}

    def _shown(self, history: History) -> tuple[int, ...]:
        return (history.current.run,) if history.current is not None else ()
