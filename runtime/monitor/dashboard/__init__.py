"""The monitor in a browser: live states, curves of the history, events."""
