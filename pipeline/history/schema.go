package history

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
)

// version is the schema that this package writes, kept in user_version.
const version = 2

const schema = `
CREATE TABLE runs (
	id          TEXT PRIMARY KEY,
	file        TEXT NOT NULL,
	name        TEXT NOT NULL,
	started     INTEGER NOT NULL, -- nanoseconds since 1970
	seconds     REAL NOT NULL,
	status      TEXT NOT NULL,    -- running, done, failed, wrong, interrupted, killed
	exit        INTEGER NOT NULL, -- of the process; -1 when it was killed or still runs
	version     TEXT NOT NULL,    -- of pipe
	ran         INTEGER NOT NULL,
	cached      INTEGER NOT NULL,
	failed      INTEGER NOT NULL,
	skipped     INTEGER NOT NULL,
	interrupted INTEGER NOT NULL,
	hits        TEXT NOT NULL     -- digest in sets, or empty
);
CREATE INDEX runs_file ON runs (file, started);
CREATE TABLE steps (              -- all but the cached ones
	run     TEXT NOT NULL,
	step    TEXT NOT NULL,
	kind    TEXT NOT NULL,
	key     TEXT NOT NULL,
	status  TEXT NOT NULL,
	why     TEXT NOT NULL,        -- it was no hit
	reason  TEXT NOT NULL,        -- it failed or was skipped
	seconds REAL NOT NULL,
	cpu     REAL NOT NULL,        -- seconds
	memory  INTEGER NOT NULL,     -- peak, bytes
	outputs TEXT NOT NULL,        -- JSON: name → digest
	log     TEXT NOT NULL,        -- digest, or empty
	PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE INDEX steps_step ON steps (step);
CREATE INDEX steps_kind ON steps (kind);
CREATE TABLE metrics (
	run   TEXT NOT NULL,
	step  TEXT NOT NULL,
	name  TEXT NOT NULL,
	at    INTEGER NOT NULL,
	value REAL,                   -- NULL: not a finite number
	time  INTEGER NOT NULL DEFAULT 0 -- nanoseconds since 1970; 0: not noted
);
CREATE INDEX metrics_run ON metrics (run, step, name);
CREATE TABLE messages (
	run     TEXT NOT NULL,
	step    TEXT NOT NULL,
	time    INTEGER NOT NULL,     -- nanoseconds since 1970
	level   TEXT NOT NULL,
	message TEXT NOT NULL
);
CREATE INDEX messages_run ON messages (run, step);
CREATE TABLE sets (               -- lines of step, tab, key, sorted
	digest TEXT PRIMARY KEY,
	body   BLOB NOT NULL
);
`

// upgrades[v] turns format v into v+1.
var upgrades = map[int]string{
	1: "ALTER TABLE metrics ADD COLUMN time INTEGER NOT NULL DEFAULT 0;",
}

// openDatabase opens the database at path, making it when it is absent.
func openDatabase(ctx context.Context, path string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "_pragma=busy_timeout(10000)&_pragma=synchronous(normal)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have == version {
		return nil
	}
	if have < 0 || have > version {
		return fmt.Errorf("it has format %d, this pipe knows format %d: use a newer pipe, or delete it", have, version)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	changes := schema
	if have > 0 {
		changes = ""
		for ; have < version; have++ {
			changes += upgrades[have]
		}
	}
	if _, err := tx.ExecContext(ctx, changes+fmt.Sprintf("PRAGMA user_version = %d;", version)); err != nil {
		return err
	}
	return tx.Commit()
}
