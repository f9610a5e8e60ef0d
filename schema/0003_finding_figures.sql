-- Figures of the checker: what is counted of findings, without opening them.
--
-- None of these columns says which medicine: the rule is a keyed hash, because the id of a contraindication names a
-- pair of ingredients. Findings from before this file have none of it and are not counted.

ALTER TABLE finding
    ADD COLUMN kind            text,
    ADD COLUMN rule_hash       bytea,
    ADD COLUMN severity        text,
    ADD COLUMN management_code text,
    ADD CONSTRAINT finding_figures CHECK ((kind IS NULL) = (rule_hash IS NULL) AND (kind IS NULL) = (severity IS NULL));
COMMENT ON COLUMN finding.kind IS 'Kind of finding, such as duplicate-ingredient.';
COMMENT ON COLUMN finding.rule_hash IS 'HMAC-SHA-256 of the rule''s id: tells rules apart without naming them.';
COMMENT ON COLUMN finding.severity IS 'low, moderate or high.';
COMMENT ON COLUMN finding.management_code IS 'Code of the reason in force (ActDetectedIssueManagementCode).';
