"""What a compiled program says between devices: read from its text, for tests and for `explain`."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

_KINDS = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast|ragged-all-to-all"
_LINE = re.compile(rf"= (\(?[^=]*?) ({_KINDS})(-start)?\(")
_SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")
_BITS = {"pred": 8, "f8e4m3": 8, "bf16": 16, "c64": 64, "c128": 128}


class Collective(NamedTuple):
    kind: str
    nbytes: int  # of its result on one device


def _nbytes(name: str, lengths: str) -> int:
    bits = _BITS.get(name) or int(re.sub(r"\D", "", name) or 8)
    return math.prod([int(n) for n in lengths.split(",") if n]) * bits // 8


def collectives(compiled: Any) -> list[Collective]:
    """The collectives of a compiled program, in its text's order; those in a loop count once."""
    found = []
    for line in compiled.as_text().splitlines():
        match = _LINE.search(line)
        if match is None:
            continue
        sizes = [_nbytes(*shape) for shape in _SHAPE.findall(match[1])]
        # What starts names its operands before its results.
        taken = sizes[len(sizes) // 2 :] if match[3] and match[1].startswith("(") else sizes
        found.append(Collective(match[2], sum(taken)))
    return found
