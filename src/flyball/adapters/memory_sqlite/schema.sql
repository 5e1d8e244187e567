-- One tenant's memories as they are found. All of it is derived from the log: a file that is gone is made again.
CREATE TABLE standing (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE memory (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL, owner TEXT NOT NULL, by TEXT NOT NULL,
  about TEXT NOT NULL, words TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, bytes INTEGER NOT NULL,
  vector BLOB NOT NULL
);
CREATE INDEX memory_about ON memory (owner, about, id);
CREATE INDEX memory_kept ON memory (expires, bytes);
CREATE INDEX memory_by ON memory (by, expires, bytes);
-- The words as they are compared, once; whose they are is a word too, so that a query reads its owner's lists alone.
CREATE VIRTUAL TABLE found USING fts5 (
  owner, about, words, content='memory', content_rowid='n', tokenize="unicode61 remove_diacritics 0"
);
