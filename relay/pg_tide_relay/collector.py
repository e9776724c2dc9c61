"""Python's cyclic garbage collector, kept out of the way of messages.

A message is a handful of tuples and lists that reference counting frees; none of them is part of a cycle. By default
the collector looks at everything young after each 700 new objects, and every so often at everything: with thousands
of messages in flight that doubles what handing one over costs (docs/performance.md). What was loaded at the start
is never looked at again; the rest after as many objects as some thousand messages are made of.
"""

import gc
from typing import Final

_THRESHOLDS: Final = (50_000, 50, 100)


def keep_out_of_the_way() -> None:
    """Call once, when the process has loaded what it needs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
