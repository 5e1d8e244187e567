"""What Flyball costs, measured beside its peers in the same run. `make bench`; never a timed test.

Nothing is imported here: workers of other environments load modules of this package with the standard library alone.
"""
