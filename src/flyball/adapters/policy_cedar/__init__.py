"""Policies in Cedar: text checked in a child process, evaluated in this one under our own ids. Start at `engine.py`."""
