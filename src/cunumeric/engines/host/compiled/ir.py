"""LLVM's text for a group: one loop over a chunk, in vectors and, for the rest, element by element.

The loop is written in vectors here, and needs none of LLVM's optimisers: every operation is the one instruction that
gives NumPy's bits, nothing is reassociated or contracted. The text names operands by their place in the group, so one
text serves all groups that do the same, of whatever size.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from . import casts

# Bytes of the widest element's vector: one AVX-512 register, or two of AVX2.
VECTOR = 64
_FLOATS = {"f4": "float", "f8": "double"}
_COMPARE = {
    "equal": ("oeq", "eq", "eq"), "not_equal": ("une", "ne", "ne"), "less": ("olt", "slt", "ult"),
    "less_equal": ("ole", "sle", "ule"), "greater": ("ogt", "sgt", "ugt"), "greater_equal": ("oge", "sge", "uge"),
}  # fmt: skip
_ARITHMETIC = {"add": ("fadd", "add"), "subtract": ("fsub", "sub"), "multiply": ("fmul", "mul")}
_BITWISE = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
_LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
_ROUND = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint"}
_SAME = frozenset({"positive", "conjugate", "copy"})
_TESTS = frozenset({"isnan", "isinf", "isfinite"})
# Arithmetic of booleans is logic.
_BOOLEAN = {
    "add": "or", "multiply": "and", "maximum": "or", "minimum": "and", "bitwise_and": "and", "bitwise_or": "or",
    "bitwise_xor": "xor",
}  # fmt: skip


def _code(dtype: np.dtype) -> str:
    """ "b1" for booleans, else kind and itemsize; "" where the compiler does not have the type."""
    if dtype.kind == "b":
        return "b1"
    if dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize in (4, 8)):
        return f"{dtype.kind}{dtype.itemsize}"
    return ""


def supports(name: str, dtypes: tuple[np.dtype, ...]) -> bool:
    """Whether `name` with these inputs and output is compiled to NumPy's exact results."""
    codes = [_code(d) for d in dtypes]
    if not all(codes):
        return False
    *inputs, out = codes
    kinds = "".join(c[0] for c in inputs)
    if name in _SAME:
        return inputs[0] == out and (name == "copy" or out != "b1")
    if name == "cast":
        return not (kinds == "f" and out[0] in "iu") or casts.exact(inputs[0], out)
    if name == "where":
        return inputs[0] == "b1" and inputs[1] == inputs[2] == out
    if name in _COMPARE:
        return inputs[0] == inputs[1] and out == "b1"
    if name in _LOGICAL or name == "logical_not":
        return len(set(inputs)) == 1 and out == "b1"
    if name in _TESTS or name == "signbit":
        return kinds == "f" and out == "b1"
    if len({*inputs, out}) != 1:
        return False
    if out == "b1":
        return name in _BOOLEAN or name == "invert"
    if name in _ARITHMETIC or name in ("negative", "absolute", "square", "sign"):
        return name not in ("negative", "absolute", "sign") or out[0] != "u"
    if out[0] == "f":
        return name in ("divide", "sqrt", "reciprocal", "fabs", "copysign", "maximum", "minimum") or name in _ROUND
    return name in _BITWISE or name in ("invert", "maximum", "minimum", "left_shift", "right_shift")


def _memory_type(code: str) -> str:
    return _FLOATS.get(code) or ("i8" if code == "b1" else f"i{8 * int(code[1])}")


class _Body:
    """The instructions of one pass of the loop: `width` elements from number `%i` on."""

    def __init__(self, writer: Writer, width: int, prefix: str) -> None:
        self.writer = writer
        self.width = width
        self.prefix = prefix
        self.lines: list[str] = []
        self.count = 0

    def new(self, text: str) -> str:
        self.count += 1
        name = f"%{self.prefix}{self.count}"
        self.lines.append(f"{name} = {text}")
        return name

    def type(self, element: str) -> str:
        return f"<{self.width} x {element}>" if self.width > 1 else element

    def constant(self, element: str, text: str) -> str:
        if self.width == 1:
            return text
        return "<" + ", ".join(f"{element} {text}" for _ in range(self.width)) + ">"

    def splat(self, element: str, value: str) -> str:
        if self.width == 1:
            return value
        t = self.type(element)
        one = self.new(f"insertelement {t} poison, {element} {value}, i32 0")
        return self.new(f"shufflevector {t} {one}, {t} poison, <{self.width} x i32> zeroinitializer")

    def call(self, name: str, element: str, *args: str) -> str:
        t = self.type(element)
        suffix = {"float": "f32", "double": "f64"}.get(element, element)
        full = f"llvm.{name}.v{self.width}{suffix}" if self.width > 1 else f"llvm.{name}.{suffix}"
        self.writer.declared[full] = f"declare {t} @{full}({', '.join([t] * len(args))})"
        return self.new(f"call {t} @{full}({', '.join(f'{t} {a}' for a in args)})")

    # -- operands --

    def load(self, place: int, code: str, layout: str) -> str:
        t = _memory_type(code)
        size = int(code[1])
        if layout == "c":
            at = self.new(f"getelementptr {t}, ptr %p{place}, i64 %i")
            return self.new(f"load {self.type(t)}, ptr {at}, align {size}")
        value = "poison"
        for k in range(self.width):
            at = self._apart(place, k)
            one = self.new(f"load {t}, ptr {at}, align {size}")
            if self.width == 1:
                return one
            value = self.new(f"insertelement {self.type(t)} {value}, {t} {one}, i32 {k}")
        return value

    def store(self, place: int, code: str, layout: str, value: str) -> None:
        t = _memory_type(code)
        size = int(code[1])
        if layout == "c":
            at = self.new(f"getelementptr {t}, ptr %p{place}, i64 %i")
            align, hint = size, ""
            if self.width > 1 and place in self.writer.streams:
                align, hint = size * self.width, ", !nontemporal !0"
            self.lines.append(f"store {self.type(t)} {value}, ptr {at}, align {align}{hint}")
            return
        for k in range(self.width):
            at = self._apart(place, k)
            one = value if self.width == 1 else self.new(f"extractelement {self.type(t)} {value}, i32 {k}")
            self.lines.append(f"store {t} {one}, ptr {at}, align {size}")

    def _apart(self, place: int, k: int) -> str:
        number = self.new(f"add i64 %i, {k}") if k else "%i"
        offset = self.new(f"mul i64 {number}, %s{place}")
        return self.new(f"getelementptr i8, ptr %p{place}, i64 {offset}")

    # -- values: (code, name, whether it is one bit an element) --

    def truth(self, value: tuple[str, str, bool]) -> str:
        """One bit an element: whether it is not 0."""
        code, name, bits = value
        if bits:
            return name
        t = _memory_type(code)
        if code[0] == "f":
            return self.new(f"fcmp une {self.type(t)} {name}, {self.constant(t, '0.0')}")
        return self.new(f"icmp ne {self.type(t)} {name}, {self.constant(t, '0')}")

    def plain(self, value: tuple[str, str, bool]) -> str:
        """The value as it lies in memory."""
        _, name, bits = value
        if not bits:
            return name
        return self.new(f"zext {self.type('i1')} {name} to {self.type('i8')}")

    def operation(self, name: str, values: list[tuple[str, str, bool]], out: str) -> tuple[str, str, bool]:
        code = values[0][0]
        kind = code[0]
        if name in _SAME:
            return values[0]
        if name == "cast":
            return self._cast(values[0], out)
        if name == "where":
            chosen = self.truth(values[0])
            t = self.type(_memory_type(out))
            x, y = (self.plain(v) for v in values[1:])
            return out, self.new(f"select {self.type('i1')} {chosen}, {t} {x}, {t} {y}"), False
        if name in _LOGICAL or (kind == "b" and name in _BOOLEAN):
            x, y = (self.truth(v) for v in values)
            return out, self.new(f"{_LOGICAL.get(name) or _BOOLEAN[name]} {self.type('i1')} {x}, {y}"), True
        if name == "logical_not" or (kind == "b" and name == "invert"):
            x = self.truth(values[0])
            return out, self.new(f"xor {self.type('i1')} {x}, {self.constant('i1', 'true')}"), True
        if kind == "b":
            # Comparisons: of truths, whatever the bytes are.
            x, y = (self.truth(v) for v in values)
            return out, self.new(f"icmp {_COMPARE[name][2]} {self.type('i1')} {x}, {y}"), True
        args = [self.plain(v) for v in values]
        element = _memory_type(code)
        t = self.type(element)
        if name in _COMPARE:
            condition = _COMPARE[name]["fiu".index(kind)]
            return out, self.new(f"{'fcmp' if kind == 'f' else 'icmp'} {condition} {t} {args[0]}, {args[1]}"), True
        if kind == "f":
            return self._float(name, args, element, out)
        return out, self._integer(name, args, element, kind), False

    def _float(self, name: str, args: list[str], element: str, out: str) -> tuple[str, str, bool]:
        t = self.type(element)
        x = args[0]
        zero, one = self.constant(element, "0.0"), self.constant(element, "1.0")

        def select(condition: str, a: str, b: str) -> str:
            return self.new(f"select {self.type('i1')} {condition}, {t} {a}, {t} {b}")

        def compare(condition: str, a: str, b: str) -> str:
            return self.new(f"fcmp {condition} {t} {a}, {b}")

        infinity = self.constant(element, "0x7FF0000000000000")
        if name in _TESTS or name == "signbit":
            if name == "signbit":
                i = f"i{32 if element == 'float' else 64}"
                whole = self.new(f"bitcast {t} {x} to {self.type(i)}")
                return out, self.new(f"icmp slt {self.type(i)} {whole}, {self.constant(i, '0')}"), True
            if name == "isnan":
                return out, compare("uno", x, x), True
            return out, compare("oeq" if name == "isinf" else "olt", self.call("fabs", element, x), infinity), True
        if name in _ARITHMETIC:
            found = self.new(f"{_ARITHMETIC[name][0]} {t} {x}, {args[1]}")
        elif name == "divide":
            found = self.new(f"fdiv {t} {x}, {args[1]}")
        elif name == "reciprocal":
            found = self.new(f"fdiv {t} {one}, {x}")
        elif name == "square":
            found = self.new(f"fmul {t} {x}, {x}")
        elif name == "negative":
            found = self.new(f"fneg {t} {x}")
        elif name in ("absolute", "fabs"):
            found = self.call("fabs", element, x)
        elif name == "sqrt":
            found = self.call("sqrt", element, x)
        elif name == "copysign":
            found = self.call("copysign", element, *args)
        elif name in _ROUND:
            found = self.call(_ROUND[name], element, x)
        elif name in ("maximum", "minimum"):
            # A NaN goes through, the first before the second; of equal values (two zeros) the second.
            condition = "ogt" if name == "maximum" else "olt"
            found = select(compare("uno", x, x), x, select(compare(condition, x, args[1]), x, args[1]))
        else:
            assert name == "sign"
            below = select(compare("olt", x, zero), self.constant(element, "-1.0"), x)
            found = select(compare("oeq", x, zero), zero, select(compare("ogt", x, zero), one, below))
        return out, found, False

    def _integer(self, name: str, args: list[str], element: str, kind: str) -> str:
        t = self.type(element)
        x = args[0]
        zero = self.constant(element, "0")

        def select(condition: str, a: str, b: str) -> str:
            return self.new(f"select {self.type('i1')} {condition}, {t} {a}, {t} {b}")

        if name in _ARITHMETIC:
            return self.new(f"{_ARITHMETIC[name][1]} {t} {x}, {args[1]}")
        if name in _BITWISE:
            return self.new(f"{_BITWISE[name]} {t} {x}, {args[1]}")
        if name == "square":
            return self.new(f"mul {t} {x}, {x}")
        if name == "negative":
            return self.new(f"sub {t} {zero}, {x}")
        if name == "invert":
            return self.new(f"xor {t} {x}, {self.constant(element, '-1')}")
        if name == "absolute":
            return select(self.new(f"icmp slt {t} {x}, {zero}"), self.new(f"sub {t} {zero}, {x}"), x)
        if name in ("maximum", "minimum"):
            condition = ("s" if kind == "i" else "u") + ("gt" if name == "maximum" else "lt")
            return select(self.new(f"icmp {condition} {t} {x}, {args[1]}"), x, args[1])
        if name == "sign":
            positive = self.new(f"icmp sgt {t} {x}, {zero}")
            negative = self.new(f"icmp slt {t} {x}, {zero}")
            below = select(negative, self.constant(element, "-1"), zero)
            return select(positive, self.constant(element, "1"), below)
        # Shifts by more than there are bits: nothing is left but the sign.
        bits = int(element[1:])
        inside = self.new(f"icmp ult {t} {args[1]}, {self.constant(element, str(bits))}")
        by = select(inside, args[1], zero)
        if name == "left_shift":
            return select(inside, self.new(f"shl {t} {x}, {by}"), zero)
        shifted = self.new(f"{'ashr' if kind == 'i' else 'lshr'} {t} {x}, {by}")
        beyond = zero
        if kind == "i":
            beyond = self.new(f"ashr {t} {x}, {self.constant(element, str(bits - 1))}")
        return select(inside, shifted, beyond)

    def _cast(self, value: tuple[str, str, bool], out: str) -> tuple[str, str, bool]:
        code = value[0]
        if out == "b1":
            return out, self.truth(value), True
        to = _memory_type(out)
        if code == "b1":
            bits = self.truth(value)
            how = "uitofp" if out[0] == "f" else "zext"
            return out, self.new(f"{how} {self.type('i1')} {bits} to {self.type(to)}"), False
        source = _memory_type(code)
        name = value[1]
        if code[0] == "f" and out[0] in "iu":
            return out, self._integer_of(name, source, out), False
        if code[0] == "f":
            if source == to:
                return out, name, False
            how = "fpext" if to == "double" else "fptrunc"
        elif out[0] == "f":
            how = "sitofp" if code[0] == "i" else "uitofp"
        else:
            wide, narrow = int(out[1]), int(code[1])
            if wide == narrow:
                return out, name, False
            how = "trunc" if wide < narrow else "sext" if code[0] == "i" else "zext"
        return out, self.new(f"{how} {self.type(source)} {name} to {self.type(to)}"), False

    def _integer_of(self, name: str, source: str, out: str) -> str:
        """A float as an integer (`casts.expected`), by x86's conversions to 32 bits, cut, or to 64 bits. What does not
        fit gives the least number there is: for LLVM it may be anything, and is what the instruction makes of it."""
        bits = 8 * int(out[1])
        wide = self.type("i64" if bits == 64 else "i32")
        t = self.type(source)
        if out != "u8":
            whole = self.new(f"fptosi {t} {name} to {wide}")
            return whole if bits >= 32 else self.new(f"trunc {wide} {whole} to {self.type(f'i{bits}')}")
        # From 2 to the power of 63 on: less that much, which is the sign's bit.
        half = self.constant(source, "0x43E0000000000000")
        above = self.new(f"fcmp oge {t} {name}, {half}")
        less = self.new(f"fsub {t} {name}, {half}")
        chosen = self.new(f"select {self.type('i1')} {above}, {t} {less}, {t} {name}")
        whole = self.new(f"fptosi {t} {chosen} to {wide}")
        sign = self.constant("i64", str(-(1 << 63)))
        turned = self.new(f"xor {wide} {whole}, {sign}")
        return self.new(f"select {self.type('i1')} {above}, {wide} {turned}, {wide} {whole}")


class Writer:
    """Writes the text of one group."""

    def __init__(self, group: Any, described: Any) -> None:
        self.group = group
        self.described = described
        self.places = {r: k for k, r in enumerate(group.inputs)}
        self.targets = {r: len(group.inputs) + k for k, r in enumerate(group.outputs)}
        # Their vectors begin where memory is aligned to vectors; the caller sees to it that all begin alike.
        self.streams = [self.targets[r] for r in group.streams]
        self.declared: dict[str, str] = {}
        self.codes = {r: _code(described.dtypes[r]) for r in self._registers()}

    def _registers(self) -> set[int]:
        return {r for step in self.group.steps for r in (*step.inputs, step.output)}

    def _layout(self, register: int, written: bool) -> str:
        layout = self.described.layout[register]
        if written and register in self.group.aside:
            return "c"
        if layout == "0":
            # A single element that the loop itself writes is read where it is.
            shared = self.described.shared.get(register, set()) | {register}
            if written or any(r in shared for r in self.group.outputs):
                return "s"
        return layout

    def _fixed(self, body: _Body) -> dict[int, tuple[str, str, bool]]:
        """Operands that are one element for the whole chunk."""
        found = {}
        for register, place in self.places.items():
            if self._layout(register, False) == "0":
                code = self.codes[register]
                found[register] = (code, body.splat(_memory_type(code), f"%c{place}"), False)
        return found

    def _pass(self, body: _Body, fixed: dict[int, tuple[str, str, bool]]) -> dict[int, tuple[str, str, bool]]:
        values = dict(fixed)
        last = {step.output: k for k, step in enumerate(self.group.steps)}  # what changes in turn is written once
        for k, step in enumerate(self.group.steps):
            for register in step.inputs:
                if register not in values:
                    code = self.codes[register]
                    name = body.load(self.places[register], code, self._layout(register, False))
                    values[register] = (code, name, False)
            out = step.output
            value = body.operation(step.name, [values[r] for r in step.inputs], self.codes[out])
            values[out] = value
            if out in self.targets and last[out] == k:
                body.store(self.targets[out], self.codes[out], self._layout(out, True), body.plain(value))
        return values

    def text(self) -> str:
        width = VECTOR // max(int(code[1]) for code in self.codes.values())
        if self.group.summed >= 0:
            width = 8  # as many sums side by side as NumPy has
        begin = ["entry:"]
        operands = [(r, k, False) for r, k in self.places.items()] + [(r, k, True) for r, k in self.targets.items()]
        for register, place, written in operands:
            begin.append(f"%a{place} = getelementptr ptr, ptr %at, i64 {place}")
            begin.append(f"%p{place} = load ptr, ptr %a{place}")
            layout = self._layout(register, written)
            if layout == "s":
                begin.append(f"%t{place} = getelementptr i64, ptr %step, i64 {place}")
                begin.append(f"%s{place} = load i64, ptr %t{place}")
            elif layout == "0":
                t = _memory_type(self.codes[register])
                begin.append(f"%c{place} = load {t}, ptr %p{place}, align {self.codes[register][1]}")
        splats = _Body(self, width, "k")
        vectors, singles = _Body(self, width, "v"), _Body(self, 1, "e")
        found = self._pass(vectors, self._fixed(splats)), self._pass(singles, self._fixed(_Body(self, 1, "u")))
        if self.group.summed >= 0:
            return self._module([*begin, *splats.lines, *self._summed(vectors, singles, *found)])
        vector = [re.sub(r"%i\b", "%iv", line) for line in vectors.lines]
        single = [re.sub(r"%i\b", "%ie", line) for line in singles.lines]
        # Elements one by one up to `first`, vectors, and elements one by one for the rest.
        lines = [
            *begin,
            *splats.lines,
            *self._first(width),
            "br label %ehead",
            "ehead:",
            "%ie = phi i64 [0, %entry], [%ne, %ebody], [%iv, %vhead]",
            "%stop = phi i64 [%first, %entry], [%stop, %ebody], [%n, %vhead]",
            "%me = icmp slt i64 %ie, %stop",
            "br i1 %me, label %ebody, label %elast",
            "ebody:",
            *single,
            "%ne = add i64 %ie, 1",
            "br label %ehead",
            "elast:",
            "%last = icmp eq i64 %stop, %n",
            "br i1 %last, label %done, label %vhead",
            "vhead:",
            "%iv = phi i64 [%ie, %elast], [%nv, %vbody]",
            f"%nv = add i64 %iv, {width}",
            "%mv = icmp sle i64 %nv, %n",
            "br i1 %mv, label %vbody, label %ehead",
            "vbody:",
            *vector,
            "br label %vhead",
            "done:",
            "ret void",
        ]
        return self._module(lines)

    def _summed(self, vectors: _Body, singles: _Body, many: dict, one: dict) -> list[str]:
        """The loops of a group that adds up: for each leaf of NumPy's pairwise sum (`_work.h`), eight sums side by
        side, which are joined, and then the rest one by one. A sum begins with -0, which changes no number."""
        out = self.group.summed
        place = len(self.group.operands())
        t = _memory_type(self.codes[out])
        wide = f"<8 x {t}>"
        zeros = ", ".join([f"{t} -0.0"] * 8)
        joined = [f"%j{k} = extractelement {wide} %av, i32 {k}" for k in range(8)]
        for k, (a, b) in enumerate(
            [("j0", "j1"), ("j2", "j3"), ("j4", "j5"), ("j6", "j7"), ("q0", "q1"), ("q2", "q3")]
        ):
            joined.append(f"%q{k} = fadd {t} %{a}, %{b}")
        vector = [re.sub(r"%i\b", "%iv", line) for line in vectors.lines]
        single = [re.sub(r"%i\b", "%ie", line) for line in singles.lines]
        return [
            f"%la = getelementptr ptr, ptr %at, i64 {place}",
            "%lengths = load ptr, ptr %la",
            f"%sa = getelementptr ptr, ptr %at, i64 {place + 1}",
            "%sums = load ptr, ptr %sa",
            "%count = load i64, ptr %lengths",
            "br label %lhead",
            "lhead:",
            "%l = phi i64 [0, %entry], [%nl, %lend]",
            "%begin = phi i64 [0, %entry], [%end, %lend]",
            "%ml = icmp slt i64 %l, %count",
            "br i1 %ml, label %leaf, label %done",
            "leaf:",
            "%nl = add i64 %l, 1",
            "%lat = getelementptr i64, ptr %lengths, i64 %nl",
            "%length = load i64, ptr %lat",
            "%end = add i64 %begin, %length",
            "br label %vhead",
            "vhead:",
            "%iv = phi i64 [%begin, %leaf], [%nv, %vbody]",
            f"%av = phi {wide} [<{zeros}>, %leaf], [%bv, %vbody]",
            "%nv = add i64 %iv, 8",
            "%mv = icmp sle i64 %nv, %end",
            "br i1 %mv, label %vbody, label %join",
            "vbody:",
            *vector,
            f"%bv = fadd {wide} %av, {many[out][1]}",
            "br label %vhead",
            "join:",
            *joined,
            f"%all = fadd {t} %q4, %q5",
            "br label %ehead",
            "ehead:",
            "%ie = phi i64 [%iv, %join], [%ne, %ebody]",
            f"%ae = phi {t} [%all, %join], [%be, %ebody]",
            "%me = icmp slt i64 %ie, %end",
            "br i1 %me, label %ebody, label %lend",
            "ebody:",
            *single,
            f"%be = fadd {t} %ae, {one[out][1]}",
            "%ne = add i64 %ie, 1",
            "br label %ehead",
            "lend:",
            f"%sat = getelementptr {t}, ptr %sums, i64 %l",
            f"store {t} %ae, ptr %sat",
            "br label %lhead",
            "done:",
            "ret void",
        ]

    def _module(self, lines: list[str]) -> str:
        body = "\n".join(lines)
        declared = "\n".join(sorted(self.declared.values()))
        return f"define void @group(ptr %at, ptr %step, i64 %n) nounwind {{\n{body}\n}}\n{declared}\n!0 = !{{i32 1}}\n"

    def _first(self, width: int) -> list[str]:
        """`%first`: elements before memory that is written past the caches is aligned to vectors."""
        if not self.streams:
            return ["%first = add i64 0, 0"]
        (code,) = {self.codes[r] for r in self.group.streams[:1]}
        size = int(code[1])
        return [
            f"%where = ptrtoint ptr %p{self.streams[0]} to i64",
            "%under = sub i64 0, %where",
            f"%over = and i64 %under, {size * width - 1}",
            f"%before = udiv exact i64 %over, {size}",
            "%short = icmp slt i64 %n, %before",
            "%first = select i1 %short, i64 %n, i64 %before",
        ]


def text(group: Any, described: Any) -> str:
    """The text of a group: a module with the function `group(at, step, n)`."""
    return Writer(group, described).text()
