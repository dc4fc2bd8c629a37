"""Sinks: where a monitor writes its messages."""
