"""A dry run waits until every dataset it refers to has been read in the shape it needs."""

import pytest

from headrace.errors import Transient
from services.transformer.bootstrap import refreshed


class Parents:
    """Reference data of which so many datasets are read a second time, one after the other."""

    def __init__(self, anew: int) -> None:
        self.left = anew

    def refresh(self) -> None:
        if self.left:
            self.left -= 1
            raise Transient("it is read again, with how old each row is")


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_each_dataset_may_be_read_once_more(count: int) -> None:
    parents = Parents(anew=count)
    refreshed(parents.refresh, count)
    assert parents.left == 0


def test_what_is_never_there_is_an_error() -> None:
    """The control of the test before."""
    with pytest.raises(Transient):
        refreshed(Parents(anew=99).refresh, 3)
