"""A seeded simulation of the whole runtime: every durable boundary and every await of the world outside can fail.

    python -m flyball.testing.simulation                       the whole matrix, as a table
    python -m flyball.testing.simulation key --faults j9=torn  one case, again

A case is (scenario, seed, faults): the same three give the same history. Processes die and come back over the same
durable journal; the remote keeps its own log of effects, which is the oracle; `invariants` says what must hold.
"""
