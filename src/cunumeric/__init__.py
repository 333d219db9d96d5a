"""NumPy, on every core: `import cunumeric as np`."""

from .runtime.version import VERSION as __version__

__all__ = ["__version__"]
