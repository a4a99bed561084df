-- What banyan keeps in a SQLite file beside the tables of the people who work with it, and what it asks of it.
-- name: incarnation
CREATE TABLE IF NOT EXISTS banyan_incarnation (identity TEXT NOT NULL)

-- name: new_incarnation
INSERT INTO banyan_incarnation (identity)
SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM banyan_incarnation)

-- name: journal
CREATE TABLE IF NOT EXISTS banyan_journal (
  entry INTEGER PRIMARY KEY AUTOINCREMENT, table_name TEXT NOT NULL, op TEXT NOT NULL, origin TEXT NOT NULL,
  mark TEXT NOT NULL DEFAULT (lower(hex(randomblob(8)))), k1, k2, k3, k4, k5, k6, k7, k8)

-- name: pruned
CREATE TABLE IF NOT EXISTS banyan_pruned (entry INTEGER NOT NULL)

-- name: nothing_pruned
INSERT INTO banyan_pruned (entry) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM banyan_pruned)

-- name: captured
CREATE TABLE IF NOT EXISTS banyan_captured (table_name TEXT PRIMARY KEY)

-- name: admitted
CREATE TABLE IF NOT EXISTS banyan_admitted (closure TEXT PRIMARY KEY, token INTEGER NOT NULL, nonce TEXT NOT NULL)

-- name: position
CREATE TABLE IF NOT EXISTS banyan_position (route TEXT PRIMARY KEY, position TEXT NOT NULL)

-- name: reserved
CREATE TABLE IF NOT EXISTS banyan_reserved (table_name TEXT PRIMARY KEY, highest INTEGER NOT NULL)

-- name: fence
CREATE TABLE IF NOT EXISTS banyan_fence (
  closure TEXT PRIMARY KEY, kind TEXT NOT NULL, token INTEGER NOT NULL DEFAULT 0, mode TEXT NOT NULL DEFAULT 'OPEN',
  lease_until REAL, nonce TEXT NOT NULL, CHECK (mode IN ('OPEN', 'CLOSED', 'SEALED')),
  CHECK (mode <> 'CLOSED' OR kind = 'closed_window' OR lease_until IS NOT NULL))

-- name: clock
SELECT (julianday('now') - 2440587.5) * 86400.0

-- name: is_there
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?

-- name: triggers
SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'banyan\_%' ESCAPE '\'

-- name: columns
SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) ORDER BY cid

-- name: unique_indexes
SELECT i.name, c.name FROM pragma_index_list(?) i JOIN pragma_index_info(i.name) c
WHERE i."unique" = 1 AND i.origin <> 'pk' AND i.partial = 0 ORDER BY i.seq, c.seqno

-- name: definition
SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE

-- name: identity
SELECT identity FROM banyan_incarnation

-- name: head
SELECT entry, mark FROM banyan_journal ORDER BY entry DESC LIMIT 1

-- name: mark
SELECT mark FROM banyan_journal WHERE entry = ?

-- name: pruned_to
SELECT entry FROM banyan_pruned

-- name: changes
SELECT table_name, op, origin, k1, k2, k3, k4, k5, k6, k7, k8 FROM banyan_journal WHERE entry > ? AND entry <= ?
ORDER BY entry

-- name: prune
DELETE FROM banyan_journal WHERE entry < ?

-- name: note_pruned
UPDATE banyan_pruned SET entry = max(entry, ?)

-- name: captured_tables
SELECT table_name FROM banyan_captured

-- name: capture_table
INSERT OR IGNORE INTO banyan_captured (table_name) VALUES (?)

-- name: release_table
DELETE FROM banyan_captured WHERE table_name = ?

-- name: read_fence
SELECT kind, token, mode, lease_until, nonce FROM banyan_fence WHERE closure = ?

-- name: new_fence
INSERT INTO banyan_fence (closure, kind, nonce) VALUES (?, ?, ?)

-- name: fences
SELECT closure, kind FROM banyan_fence ORDER BY closure

-- name: drop_fence
DELETE FROM banyan_fence WHERE closure = ?

-- name: write_fence
UPDATE banyan_fence SET token = ?, mode = ?, lease_until = ?, nonce = ? WHERE closure = ?

-- name: admit
INSERT INTO banyan_admitted (closure, token, nonce) VALUES (?, ?, ?)

-- name: dismiss
DELETE FROM banyan_admitted

-- name: set_position
INSERT INTO banyan_position (route, position) VALUES (?, ?)
ON CONFLICT (route) DO UPDATE SET position = excluded.position

-- name: forget_positions
DELETE FROM banyan_position

-- name: reverse_position
SELECT position FROM banyan_position WHERE route = ?

-- name: reserved_to
SELECT highest FROM banyan_reserved WHERE table_name = ?

-- name: reserve
INSERT INTO banyan_reserved (table_name, highest) VALUES (?, ?)
ON CONFLICT (table_name) DO UPDATE SET highest = excluded.highest

-- name: counted_to
SELECT seq FROM sqlite_sequence WHERE name = ?

-- name: advance
UPDATE sqlite_sequence SET seq = ? WHERE name = ?

-- name: begin_counting
INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)

-- name: triggers_around
SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE 'banyan\_%' ESCAPE '\' ORDER BY 1, 2

-- name: views_around
SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY 1

-- name: pages_around
SELECT rootpage, tbl_name FROM sqlite_master WHERE rootpage > 0

-- name: encoding_around
SELECT CAST(encoding AS TEXT) FROM pragma_encoding

-- name: references_around
-- declared of one column; without a column of the parent, its key is meant
SELECT m.name, f."from", f."table", coalesce(f."to", (SELECT p.name FROM pragma_table_info(f."table") p WHERE p.pk = 1))
FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'
  AND (SELECT count(*) FROM pragma_foreign_key_list(m.name) o WHERE o.id = f.id) = 1
  AND EXISTS (SELECT 1 FROM pragma_table_info(f."table") p WHERE f."to" IS NOT NULL OR p.pk = 1)
ORDER BY 1, 2
