-- When each boot of each agent began, as far as is known (collector/src/dating.rs). Ids keep their 64 bits.

CREATE TABLE boots (
    agent           INTEGER NOT NULL,
    boot            INTEGER NOT NULL,
    site_code       TEXT NOT NULL,
    first_ms        INTEGER NOT NULL,
    last_ms         INTEGER NOT NULL,
    least_offset_ms INTEGER,
    most_offset_ms  INTEGER NOT NULL,
    grade           INTEGER,
    proofs          TEXT NOT NULL,          -- JSON: [at_ms, offset_ms, error_ms] each, one a day of the boot
    leans_on_proofs INTEGER NOT NULL,
    PRIMARY KEY (agent, boot)
) STRICT, WITHOUT ROWID;
