"""`python -m cunumeric.driver`: the `legate` command where its script is not on the path."""

from .main import main

main()
