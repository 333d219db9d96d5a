"""The `legate` command: takes resources from flags, then runs a program as `python` would."""
