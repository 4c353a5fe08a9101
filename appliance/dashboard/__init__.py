"""The dashboard for browsers, read-only: one page, its live stream, the same state as JSON, and /metrics."""
