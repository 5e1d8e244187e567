-- Logs by tenant, records with their tree, answers to appends, and one table for each kind of row.

-- A tenant's log. `number` stands for the tenant in every other table; `id` is random and stays with the log for good.
-- `frontier`: the roots of the complete subtrees, 32 bytes each, largest first. `latest`: greatest time of a record.
CREATE TABLE log (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL,
    latest INTEGER NOT NULL
);

-- `place` is number * 2^40 + index: a tenant's records stand together, in order, without an index of their own.
CREATE TABLE record (
    place INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    run TEXT NOT NULL,
    path TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    payload BLOB
);

-- Ids that are used up. what = 0: a record's id (run/path/attempt/kind, the step key), `first` is its index. what = 1: an
-- append's id and how it was answered. Most appends are named after their first record, which then says both: `named` is
-- what the append's id adds to the record's, `size` the append's (else null and 0). One tree for all, because ids of one
-- run stand together in it: an append changes one page here, and a run's records are found by its prefix.
CREATE TABLE used (
    log INTEGER NOT NULL,
    id TEXT NOT NULL,
    what INTEGER NOT NULL,
    first INTEGER NOT NULL,
    size INTEGER NOT NULL,
    named TEXT,
    PRIMARY KEY (log, id, what)
) WITHOUT ROWID;

-- Roots of complete subtrees from level 1 up; level 0 is the hash of the leaf itself.
CREATE TABLE node (
    log INTEGER NOT NULL,
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (log, level, position)
) WITHOUT ROWID;

-- Sealed large values, once per tenant and MAC.
CREATE TABLE body (
    number INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    mac TEXT NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (log, mac)
);

-- Rows. `data` is the record as MessagePack; the columns beside it repeat what views filter by.
CREATE TABLE run (
    log INTEGER NOT NULL,
    id TEXT NOT NULL,
    data BLOB NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    session TEXT NOT NULL,
    PRIMARY KEY (log, id)
) WITHOUT ROWID;
CREATE INDEX run_state ON run (log, state);
CREATE INDEX run_parent ON run (log, parent);
CREATE INDEX run_session ON run (log, session);

CREATE TABLE pending (
    log INTEGER NOT NULL,
    id TEXT NOT NULL,
    data BLOB NOT NULL,
    run TEXT NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (log, id)
) WITHOUT ROWID;
CREATE INDEX pending_run ON pending (log, run);
CREATE INDEX pending_state ON pending (log, state);

CREATE TABLE budget (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;

CREATE TABLE hold (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;

CREATE TABLE claim (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;

CREATE TABLE epoch (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;

CREATE TABLE key (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, person TEXT NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;
CREATE INDEX key_person ON key (log, person);

CREATE TABLE bundle (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;

CREATE TABLE checkpoint (
    log INTEGER NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, id)
) WITHOUT ROWID;

-- Blobs can be large: a table with rowid keeps them out of the index.
CREATE TABLE blob (
    number INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    id TEXT NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (log, id)
);
