-- Versions of KPI definitions from 2 on; the first is the program's own. A version is never changed or removed: a figure
-- printed with it can be computed again.

CREATE TABLE kpi_definitions (
    kpi            TEXT NOT NULL,
    version        INTEGER NOT NULL,
    effective_from INTEGER NOT NULL,       -- Unix milliseconds
    decree         TEXT NOT NULL,
    terms          TEXT NOT NULL,          -- `term=value`, parted by blanks; all the KPI stands on
    entered_at     INTEGER NOT NULL,
    entered_by     TEXT NOT NULL,
    PRIMARY KEY (kpi, version)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER kpi_definitions_are_never_changed BEFORE UPDATE ON kpi_definitions
    BEGIN SELECT RAISE(ABORT, 'versions of definitions are immutable'); END;
CREATE TRIGGER kpi_definitions_are_never_removed BEFORE DELETE ON kpi_definitions
    BEGIN SELECT RAISE(ABORT, 'versions of definitions are immutable'); END;
