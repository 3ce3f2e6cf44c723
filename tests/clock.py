"""A clock that stands still until a test moves it."""


class Clock:
    """A clock to pass to what is tested.

    Args:
        now: The time that it shows at first, in seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        """The time that it shows; a test sets it."""

    def __call__(self) -> float:
        return self.now
