-- name: schema
-- The keyring file, version 1. A key is only ever stored wrapped: the tenant's under the root key, a subject's under its
-- tenant's. An erased subject keeps its row without a key, so that no new key is made for it.
CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), wrapped BLOB NOT NULL);
CREATE TABLE tenant (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL);
CREATE TABLE subject (
    tenant TEXT NOT NULL REFERENCES tenant (name),
    pseudonym TEXT NOT NULL,
    wrapped BLOB,
    erased INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, pseudonym),
    CHECK ((wrapped IS NULL) = (erased <> 0))
);

-- name: tables
-- How many tables there are: none in a file that was made and never filled.
SELECT count(*) FROM sqlite_master;

-- name: put_seal
-- What only the right root key opens.
INSERT INTO seal (id, wrapped) VALUES (1, ?);

-- name: get_seal
SELECT wrapped FROM seal WHERE id = 1;

-- name: get_tenant
SELECT wrapped FROM tenant WHERE name = ?;

-- name: put_tenant
-- Another process may have been first; then its key counts.
INSERT OR IGNORE INTO tenant (name, wrapped) VALUES (?, ?);

-- name: get_subject
SELECT wrapped FROM subject WHERE tenant = ? AND pseudonym = ?;

-- name: put_subject
-- Another process may have been first; then its key counts.
INSERT OR IGNORE INTO subject (tenant, pseudonym, wrapped) VALUES (?, ?, ?);
