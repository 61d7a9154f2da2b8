"""What has to be read to its end before a dataset is settled."""

from headrace.stream import topics
from services.gateway.accounts import read_by_stages
from tests.unit.gateway.test_datasets import AIRPORTS, FLIGHTS, live


def test_a_dataset_waits_for_no_topic_but_its_own() -> None:
    """A request for the rows of one dataset leaves the others settled."""
    for dataset in live(AIRPORTS, FLIGHTS).values():
        read = {reading.topic for reading in read_by_stages(dataset)}
        assert read == set(topics.of_dataset(dataset.name, dataset.generation))
