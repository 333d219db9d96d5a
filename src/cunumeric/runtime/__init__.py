"""What every layer above may ask for: settings, cores, threads. Imports nothing of the package above it."""
