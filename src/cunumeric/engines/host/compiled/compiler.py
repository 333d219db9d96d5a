"""From LLVM's text to code in memory, by llvmlite (the extra `compiled`).

llvmlite is imported when the first text is compiled, never with the package. It releases the interpreter's lock while
LLVM is at work.
"""

from __future__ import annotations

import hashlib
import platform
import weakref
from functools import partial
from typing import Any

from ....runtime.places import directory
from .cache import Cache


class Unavailable(Exception):
    """There is no compiler on this machine."""


class Code:
    """A compiled text; its memory lives as long as this object."""

    __slots__ = ("__weakref__", "address", "engine", "from_disk")

    def __init__(self, engine: Any, address: int, from_disk: bool) -> None:
        self.engine = engine
        self.address = address
        self.from_disk = from_disk


class Compiler:
    def __init__(self) -> None:
        machine = platform.machine()
        if machine not in ("x86_64", "AMD64"):
            # Minima and maxima of zeros are the first or the second operand, as x86's instructions have it.
            raise Unavailable(f"not for processors of type {machine}")
        try:
            import llvmlite
            from llvmlite import binding
        except ImportError as error:
            raise Unavailable(f"llvmlite is not there: {error}") from error
        self.binding = binding
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        cpu, features = binding.get_host_cpu_name(), binding.get_host_cpu_features()
        if not features.get("sse4.1"):
            raise Unavailable("the processor has no SSE4.1")
        target = binding.Target.from_default_triple()
        self.new_machine = partial(target.create_target_machine, cpu, features.flatten(), opt=2, reloc="pic")
        self.machine = self.new_machine()
        self.identity = f"{llvmlite.__version__} {binding.llvm_version_info} {target.triple} {cpu} {features.flatten()}"
        self.cache = Cache(directory())
        self.known: weakref.WeakValueDictionary[str, Code] = weakref.WeakValueDictionary()

    def code(self, text: str) -> Code:
        """The code of a text, which has one function, `group`: from memory, from disk, or new."""
        name = hashlib.sha256(f"{self.identity}\n{text}".encode()).hexdigest()
        found = self.known.get(name)
        if found is None:
            kept = self.cache.get(name)
            found = self._load(kept, True) if kept is not None else None
            if found is None:
                new = self._compile(text)
                found = self._load(new, False)
                self.cache.put(name, new)
            self.known[name] = found
        return found

    def _compile(self, text: str) -> bytes:
        module = self.binding.parse_assembly(text)
        module.verify()
        return self.machine.emit_object(module)

    def _load(self, code: bytes, from_disk: bool) -> Code:
        binding = self.binding
        # The engine owns its machine, and frees it.
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), self.new_machine())
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return Code(engine, engine.get_function_address("group"), from_disk)
