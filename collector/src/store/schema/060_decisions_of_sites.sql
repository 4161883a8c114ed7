-- The site a decision is about, if it is about one: why somebody was called about it, or not, is asked by site.
ALTER TABLE decisions ADD COLUMN site TEXT;

-- Held links: site/SITE. Alerts: alert/RULE/site/SITE, alert/RULE/link/SITE/NAME, alert/RULE/target/SITE/LINK/TARGET.
UPDATE decisions SET site = substr(case_key, 6) WHERE case_key LIKE 'site/%';
WITH subjects (id, subject) AS (
    SELECT id, substr(case_key, 7 + instr(substr(case_key, 7), '/')) FROM decisions WHERE case_key LIKE 'alert/%'
), tails (id, tail) AS (
    SELECT id, substr(subject, instr(subject, '/') + 1) || '/' FROM subjects
    WHERE subject LIKE 'site/%' OR subject LIKE 'link/%' OR subject LIKE 'target/%'
)
UPDATE decisions SET site = substr(tail, 1, instr(tail, '/') - 1) FROM tails WHERE tails.id = decisions.id;
-- alert/RULE/agent/ID
UPDATE decisions SET site = agents.site_code FROM agents WHERE case_key LIKE 'alert/%/agent/' || agents.id;

CREATE INDEX decisions_by_site ON decisions (site, id) WHERE site IS NOT NULL;
