"""The checks of `doctor`, one module for each subject. Importing this registers them all."""

from . import function, configuration, package, role  # noqa: F401, I001 - the order in which they run
from . import queues, policies, keys, mappings, tables, entries  # noqa: F401 - as above
from . import buckets, eventbridge, topics, alarms  # noqa: F401 - as above
