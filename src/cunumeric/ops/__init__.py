"""What an operation is: one row each."""
