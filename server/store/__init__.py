"""What is kept in Redis or Valkey, and how it is written, read and erased."""
