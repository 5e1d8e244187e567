"""Flyball: agents propose, policy decides, people sign, and every step is evidence."""

__version__ = "0.1.0"
