"""What can go wrong with the local stack, as one sentence and what to do."""

from headrace.errors import HeadraceError


class StackError(HeadraceError):
    """The stack cannot do what was asked. The message names the component and the way out."""
