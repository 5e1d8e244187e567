"""The journal in one SQLite file: `journal.SqliteJournal` owns and writes it, `journal.open_reader` looks at it."""
