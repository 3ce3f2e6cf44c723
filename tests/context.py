"""The context that Lambda passes to the function."""

import uuid


class Context:
    """A Lambda context.

    Args:
        left: Seconds that the invocation has left; a test sets the attribute.
        request_id: Id of the request to Lambda; a retry of an invocation has the same.
    """

    def __init__(self, left: float = 300.0, request_id: str | None = None) -> None:
        self.left = left
        self.aws_request_id = request_id or str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left, as Lambda's own context does."""
        return int(self.left * 1000)
