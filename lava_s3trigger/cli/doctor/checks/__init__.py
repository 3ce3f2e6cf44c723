"""The checks of `doctor`, one module for each subject. Importing this registers them all."""

from . import function, package, role, queues, keys, mappings, tables  # noqa: F401, I001 - the order in which they run
from . import buckets, eventbridge, topics, alarms  # noqa: F401 - as above
