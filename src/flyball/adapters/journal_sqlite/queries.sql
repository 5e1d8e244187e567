-- Every statement by its name. {table}, {columns}, {values}, {updates}, {index} and {where} are filled from
-- core.journal's table and column names, never from data.

-- name: logs
-- Tenants that have a log.
SELECT tenant FROM log ORDER BY tenant

-- name: log
-- One tenant's log.
SELECT number, id, size, frontier, latest FROM log WHERE tenant = ?

-- name: last_number
-- The greatest number given to a log.
SELECT coalesce(max(number), 0) FROM log

-- name: put_log
-- A log as it is after a batch.
INSERT INTO log (number, tenant, id, size, frontier, latest) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET size = excluded.size, frontier = excluded.frontier, latest = excluded.latest

-- name: torn
-- Logs whose size is not that of their records: never, unless the file was damaged or edited.
SELECT tenant FROM log
WHERE size <> coalesce((SELECT max(place) + 1 - number * 1099511627776 FROM record
    WHERE place >= number * 1099511627776 AND place < (number + 1) * 1099511627776), 0)

-- name: has_record
-- Whether a step is recorded.
SELECT 1 FROM used WHERE log = ? AND id = ? AND what = 0

-- name: used
-- Which of these ids are used up.
SELECT id, what, first, size, named FROM used WHERE log = ? AND id IN (SELECT value FROM json_each(?))

-- name: add_record
-- A record at its place.
INSERT INTO record (place, log, run, path, attempt, kind, time, leaf, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: records
-- A tenant's records in order.
SELECT place, run, path, attempt, kind, time, leaf, payload FROM record
WHERE place > ? AND place < ? ORDER BY place LIMIT ?

-- name: records_of_run
-- A run's records in order; places first, so that only they are sorted.
SELECT place, run, path, attempt, kind, time, leaf, payload FROM record
WHERE place IN (SELECT :start + first FROM used WHERE log = :log AND id > :run || '/' AND id < :run || '0' AND what = 0
    AND first > :after ORDER BY first LIMIT :limit)
ORDER BY place

-- name: record
-- One record by its id.
SELECT place, run, path, attempt, kind, time, leaf, payload FROM record
WHERE place = (SELECT :start + first FROM used WHERE log = :log AND id = :id AND what = 0)

-- name: leaf
-- One leaf.
SELECT leaf FROM record WHERE place = ?

-- name: add_node
-- A subtree that became complete.
INSERT INTO node (log, level, position, hash) VALUES (?, ?, ?, ?)

-- name: node
-- The root of a complete subtree.
SELECT hash FROM node WHERE log = ? AND level = ? AND position = ?

-- name: add_body
-- A shared body; the first one stays.
INSERT INTO body (log, mac, data) VALUES (?, ?, ?) ON CONFLICT (log, mac) DO NOTHING

-- name: body
-- A shared body by its MAC.
SELECT data FROM body WHERE log = ? AND mac = ?

-- name: use
-- An id that is used up from now on.
INSERT INTO used (log, id, what, first, size, named) VALUES (?, ?, ?, ?, ?, ?)

-- name: append
-- How an append was answered: by its own id, or by the record that it is named after with its suffix.
SELECT first, size FROM used WHERE log = ?1 AND id = ?2 AND what = 1
UNION ALL SELECT first, size FROM used WHERE log = ?1 AND id = ?2 AND what = 0 AND named = ''
UNION ALL SELECT first, size FROM used WHERE log = ?1 AND id = ?3 AND what = 0 AND named = ?4

-- name: row
-- One row of a kind.
SELECT data FROM {table} WHERE log = ? AND id = ?

-- name: row_now
-- One row of a kind in a tenant's log.
SELECT data FROM {table} WHERE log = (SELECT number FROM log WHERE tenant = ?) AND id = ?

-- name: rows_by_id
-- Several rows of a kind by their ids.
SELECT id, data FROM {table} WHERE log = ? AND id IN (SELECT value FROM json_each(?))

-- name: rows
-- Rows of a kind in order of their id. The index is named: without statistics SQLite takes the primary key, whose order
-- fits, and reads every row of the log.
SELECT data FROM {table}{index} WHERE log = ?{where} ORDER BY id

-- name: page
-- Some rows of a kind in order of their id.
SELECT data FROM {table} WHERE log = ? AND id > ? ORDER BY id LIMIT ?

-- name: put_row
-- A row as it is after a batch.
INSERT INTO {table} (log, id, data{columns}) VALUES (?, ?, ?{values})
ON CONFLICT (log, id) DO UPDATE SET data = excluded.data{updates}

-- name: drop_row
-- A row that is settled.
DELETE FROM {table} WHERE log = ? AND id = ?

-- name: every_log
-- Each log and its size.
SELECT number, tenant, size FROM log ORDER BY number

-- name: every_record
-- Some records by place: is its log there, is the place its log's, does its step key lead to it? A step key that an
-- append is named after has that append's size.
SELECT r.place, r.log, r.time, l.number IS NULL, r.log <> r.place / 1099511627776,
    u.first IS NOT r.place - r.log * 1099511627776
        OR CASE WHEN u.named IS NULL THEN u.size <> 0 ELSE u.size <= u.first END
FROM (SELECT place, log, run, path, attempt, kind, time FROM record{after} ORDER BY place LIMIT ?) r LEFT JOIN log l ON l.number = r.log
LEFT JOIN used u ON u.log = r.log AND u.id = r.run || '/' || r.path || '/' || r.attempt || '/' || r.kind AND u.what = 0
ORDER BY r.place

-- name: every_used
-- Some ids that are used up: is its log there, is a step key that of a record, can an append have been answered so?
SELECT u.log, u.id, u.what, l.number IS NULL,
    u.what = 0 AND u.id IS NOT r.run || '/' || r.path || '/' || r.attempt || '/' || r.kind,
    u.what NOT IN (0, 1) OR u.first < 0 OR u.size > l.size OR u.what = 1 AND (u.first > u.size OR u.named IS NOT NULL)
FROM (SELECT * FROM used{after} ORDER BY log, id, what LIMIT ?) u LEFT JOIN log l ON l.number = u.log
LEFT JOIN record r ON r.place = u.log * 1099511627776 + u.first
ORDER BY u.log, u.id, u.what

-- name: every_node
-- Some subtrees in order.
SELECT n.log, n.level, n.position, l.number IS NULL
FROM (SELECT log, level, position FROM node{after} ORDER BY log, level, position LIMIT ?) n LEFT JOIN log l ON l.number = n.log
ORDER BY n.log, n.level, n.position

-- name: every_body
-- Some sealed large values.
SELECT b.log, b.mac, l.number IS NULL
FROM (SELECT log, mac FROM body{after} ORDER BY log, mac LIMIT ?) b LEFT JOIN log l ON l.number = b.log
ORDER BY b.log, b.mac

-- name: every_row
-- Some rows of a kind with what is repeated of them.
SELECT t.log, t.id, l.number IS NULL, t.data{columns}
FROM (SELECT * FROM {table}{after} ORDER BY log, id LIMIT ?) t LEFT JOIN log l ON l.number = t.log
ORDER BY t.log, t.id

-- name: latest_since
-- A log's latest time, and that of its records from a place on.
SELECT latest, coalesce((SELECT max(time) FROM record WHERE place > ?2 AND place < ?3), 0) FROM log WHERE number = ?1

-- name: foreign
-- What no migration makes: something that would act on its own.
SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1
