"""Which instructions of a translated program are compiled together, and with which operands.

A *group* is a run of instructions of one block. Its values live in vector registers; only what is asked for after the
group goes to scratch or to memory. Instructions that the compiler does not have stay calls of NumPy's loops between
groups.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..native import Described, Step
from . import ir

OPERANDS_MOST = 40
STEPS_MOST = 160
# A block of this fraction of the largest one's elements, such as an edge, is not worth compiling.
_THIN = 32
_BITS = {"divide": 1, "over": 2, "under": 4, "invalid": 8}


@dataclass
class Group:
    steps: list[Step]
    inputs: list[int]  # registers read from memory
    outputs: list[int]  # registers written to memory
    aside: set[int]  # outputs that must not be written before the flags are known
    interest: int  # flags that somebody listens to
    streams: list[int]  # outputs written past the caches; all of one itemsize
    summed: int = -1  # the output that is added up as well

    def operands(self) -> list[int]:
        return self.inputs + self.outputs

    def attached(self, address: int, described: Described) -> tuple:
        """The group as `_tiles.Program.attach` takes it."""
        sizes = [0] * len(self.inputs)
        sizes += [described.dtypes[r].itemsize if r in self.aside else 0 for r in self.outputs]
        streams = tuple(len(self.inputs) + self.outputs.index(r) for r in self.streams)
        number = self.steps[0].number
        operands, place = tuple(self.operands()), -1
        if self.summed >= 0:
            place = len(operands)
            operands, sizes = (*operands, -1, -1), [*sizes, 0, 0]
        return (number, len(self.steps), address, self.interest, operands, tuple(sizes), streams, place)


def supported(step: Step, described: Described) -> bool:
    return ir.supports(step.name, tuple(described.dtypes[r] for r in (*step.inputs, step.output)))


def find(described: Described, *, all_of_them: bool) -> list[Group]:
    """The groups of a program, in order; those that are worth a loop of their own, or all."""
    least = 0 if all_of_them else max(described.sizes) // _THIN
    found = [
        group
        for steps, size in zip(described.blocks, described.sizes, strict=True)
        for group in (_of_block(steps, described) if size >= least else ())
    ]
    return [g for g in found if all_of_them or len(g.steps) > 1 or g.summed >= 0]


def _of_block(steps: list[Step], described: Described) -> list[Group]:
    last: dict[int, int] = {}
    for step in steps:
        for register in step.inputs:
            last[register] = step.number
    found = []
    run: list[Step] = []
    read: set[int] = set()
    written: set[int] = set()
    for step in steps:
        if run and (
            not supported(step, described) or _conflicts(step, written, described) or _full(run, read, written)
        ):
            found.append(_group(run, last, described))
            run, read, written = [], set(), set()
        if supported(step, described):
            run.append(step)
            read.update(step.inputs)
            written.add(step.output)
    if run:
        found.append(_group(run, last, described))
        _sum(found[-1], described)
    return found


def _sum(group: Group, described: Described) -> None:
    """Let the last group of a block add up what the block's reduction asks for, if it computes that."""
    out = described.summed
    if out not in group.outputs or group.streams or group.steps[-1].output != out:
        return
    overwritten = any({r, *described.shared.get(r, ())} & set(group.inputs) for r in group.outputs)
    if overwritten and not group.interest and not described.repeats:
        return  # nothing is written aside: the chunk could not run again for the flags of the sum
    group.summed = out
    for kind in described.kinds:
        group.interest |= _BITS[kind]


def _full(run: list[Step], read: set[int], written: set[int]) -> bool:
    return len(run) >= STEPS_MOST or len(read | written) >= OPERANDS_MOST


def _conflicts(step: Step, written: set[int], described: Described) -> bool:
    """Whether the step meets memory that the group has written under another name."""
    memory = described.memory
    for register in (*step.inputs, step.output):
        if register in memory and any(r in written for r in described.shared.get(register, ()) if r in memory):
            return True
    return False


def _group(steps: list[Step], last: dict[int, int], described: Described) -> Group:
    inputs: list[int] = []
    outputs: list[int] = []
    written: set[int] = set()
    end = steps[-1].number
    for step in steps:
        for register in step.inputs:
            if register not in written and register not in inputs:
                inputs.append(register)
        out = step.output
        if out not in written:
            written.add(out)
            if out in described.memory or out in described.kept or last.get(out, -1) > end:
                outputs.append(out)
    interest = 0
    if not all(step.silent for step in steps):
        for kind in described.kinds:
            interest |= _BITS[kind]
    aside = set()
    if interest and not described.repeats:
        for out in outputs:
            shared = described.shared.get(out, set()) | {out}
            if any(r in inputs for r in shared):
                aside.add(out)
    streams = [r for r in outputs if r in described.streams and r not in aside and described.layout[r] == "c"]
    streams = [r for r in streams if described.dtypes[r].itemsize == described.dtypes[streams[0]].itemsize]
    return Group(steps, inputs, outputs, aside, interest, streams)
