"""From results and logs to tables and pictures."""
