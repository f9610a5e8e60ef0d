-- Two records of one person. What a person is found by leads to the record that goes on; what is sealed under the other
-- record's id stays where it is and is read along. Nothing is moved, so that a wrong merge is undone exactly.

ALTER TABLE patient
    ADD COLUMN merged_into uuid,
    ADD COLUMN merged uuid[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT patient_merged_once CHECK (merged_into IS NULL OR merged = '{}');
COMMENT ON COLUMN patient.merged_into IS 'The record of the same person that goes on in the place of this one; null of every other record.';
COMMENT ON COLUMN patient.merged IS 'The records whose place this one has taken.';

ALTER TABLE insured_identity ADD COLUMN merged_into uuid;
ALTER TABLE card ADD COLUMN merged_into uuid;
ALTER TABLE person_name ADD COLUMN merged_into uuid;
COMMENT ON COLUMN insured_identity.merged_into IS 'patient.merged_into of patient_id, so that a look-up finds it without another.';
COMMENT ON COLUMN card.merged_into IS 'patient.merged_into of patient_id.';
COMMENT ON COLUMN person_name.merged_into IS 'patient.merged_into of patient_id.';

-- From a person to what the person is found by: for merging, its undo, and the end of a record.
CREATE INDEX insured_identity_patient ON insured_identity (patient_id);
CREATE INDEX card_patient ON card (patient_id);
CREATE INDEX person_name_patient ON person_name (patient_id);

ALTER TABLE consent ADD COLUMN merged_from uuid;
ALTER TABLE reported ADD COLUMN merged_from uuid;
COMMENT ON COLUMN consent.merged_from IS 'Of a refusal that came with a merge: the record it came from.';
COMMENT ON COLUMN reported.merged_from IS 'Of an entry that came with a merge: the record it came from.';

ALTER TABLE access_token
    ADD COLUMN patient_bucket smallint,
    ADD COLUMN patient_id uuid;
COMMENT ON COLUMN access_token.patient_bucket IS 'Of a token that reads one patient''s record: bucket of the patient.';
COMMENT ON COLUMN access_token.patient_id IS 'Of a token that reads one patient''s record: the patient. It is worth nothing once the record is merged into another.';
CREATE INDEX access_token_patient ON access_token (patient_id) WHERE patient_id IS NOT NULL;

CREATE TABLE patient_merge (
    bucket         smallint    NOT NULL,
    patient_id     uuid        NOT NULL,
    merged_id      uuid        NOT NULL,
    merged_at      timestamptz NOT NULL,
    undone_at      timestamptz,
    sealed         bytea       NOT NULL,
    undone_sealed  bytea,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    updated_by     text        NOT NULL,
    CONSTRAINT patient_merge_pkey PRIMARY KEY (bucket, patient_id, merged_id, merged_at),
    CONSTRAINT patient_merge_undone CHECK ((undone_at IS NULL) = (undone_sealed IS NULL))
);
COMMENT ON TABLE  patient_merge IS 'Merges of two records of one person, and the undoing of wrong ones.';
COMMENT ON COLUMN patient_merge.bucket IS 'Bucket of patient_id.';
COMMENT ON COLUMN patient_merge.patient_id IS 'The record that goes on.';
COMMENT ON COLUMN patient_merge.merged_id IS 'The record it took the place of.';
COMMENT ON COLUMN patient_merge.merged_at IS 'When.';
COMMENT ON COLUMN patient_merge.undone_at IS 'When it was undone.';
COMMENT ON COLUMN patient_merge.sealed IS 'JSON: the operator''s evidence. Row: patient_id, merged_id.';
COMMENT ON COLUMN patient_merge.undone_sealed IS 'JSON: the operator''s evidence that it was wrong.';
COMMENT ON COLUMN patient_merge.created_at IS 'When the row was written, by the database''s clock; rows written later came after the merge.';
COMMENT ON COLUMN patient_merge.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN patient_merge.updated_by IS 'The act that last changed it.';
