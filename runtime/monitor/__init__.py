"""Live monitoring: sources, signals, alarms and sinks around one engine."""
