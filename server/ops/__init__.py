"""Commands for operators: backup and restore, the doctor, tokens."""
