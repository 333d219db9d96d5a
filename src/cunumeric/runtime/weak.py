"""Tables of what other objects are, without keeping these alive."""

from __future__ import annotations

import weakref
from typing import Any


def entry(x: Any, table: dict[int, Any], key: int) -> weakref.ref[Any]:
    """A weak reference to `x` that takes `key` out of `table` when `x` is gone. It may go last of all, when modules
    have lost their names."""
    drop = table.pop
    return weakref.ref(x, lambda _: drop(key, None))
