"""The checks of `doctor`, one module for each subject. Importing this registers them all."""

from . import function, role, queues, mappings, tables, buckets, rules, topics  # noqa: F401, I001 - the order in which they run
