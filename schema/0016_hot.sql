-- What every registration, acceptance and dispensing writes costs as little as it can (decision 60).

-- PostgreSQL reads a CHECK anew from its catalogue for every statement that writes a row. What these forbade is refused
-- where a row is read.
ALTER TABLE patient
    DROP CONSTRAINT patient_bucket_range,
    DROP CONSTRAINT patient_merged_once;
ALTER TABLE prescription
    DROP CONSTRAINT prescription_state,
    DROP CONSTRAINT prescription_state_facts,
    DROP CONSTRAINT prescription_kind,
    DROP CONSTRAINT prescription_number;
ALTER TABLE document DROP CONSTRAINT document_part;
ALTER TABLE medication DROP CONSTRAINT medication_source;
ALTER TABLE identity_token DROP CONSTRAINT identity_token_method;

-- Sealed values do not get smaller, and nothing is to be learnt of their distribution.
ALTER TABLE patient ALTER COLUMN particulars_sealed SET STORAGE EXTERNAL, ALTER COLUMN particulars_sealed SET STATISTICS 0;
ALTER TABLE prescription ALTER COLUMN sealed SET STORAGE EXTERNAL, ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE document ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE medication ALTER COLUMN sealed SET STORAGE EXTERNAL, ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE finding ALTER COLUMN sealed SET STORAGE EXTERNAL, ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE access_record ALTER COLUMN sealed SET STORAGE EXTERNAL, ALTER COLUMN sealed SET STATISTICS 0;
ALTER TABLE idempotency ALTER COLUMN sealed SET STORAGE EXTERNAL, ALTER COLUMN sealed SET STATISTICS 0;

-- Rows are written in the order in which they end: the sweep finds the ended ones by ranges of pages.
DROP INDEX idempotency_expires_at;
CREATE INDEX idempotency_expires_at ON idempotency USING brin (expires_at);
DROP INDEX identity_token_expires_at;
CREATE INDEX identity_token_expires_at ON identity_token USING brin (expires_at);

-- Raising the version of a history moves no row to another page and touches no index.
ALTER TABLE patient SET (fillfactor = 85);
