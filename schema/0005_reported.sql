-- What is told of a patient beside prescriptions: allergies, medicines by the patient's own account, and medicines that
-- institutions claimed for. Shown as what they are; the checker reads the first two.

CREATE TABLE reported (
    bucket        smallint    NOT NULL,
    patient_id    uuid        NOT NULL,
    id            uuid        NOT NULL,
    kind          text        NOT NULL CONSTRAINT reported_kind CHECK (kind IN ('allergy', 'medicine', 'claim')),
    facility      text,
    since         date        NOT NULL,
    until         date,
    recorded_at   timestamptz NOT NULL,
    content_hash  bytea       NOT NULL,
    sealed        bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    updated_by    text        NOT NULL,
    CONSTRAINT reported_pkey PRIMARY KEY (bucket, patient_id, id),
    CONSTRAINT reported_content UNIQUE (bucket, patient_id, content_hash),
    CONSTRAINT reported_claimed CHECK (kind <> 'claim' OR facility IS NOT NULL)
);
COMMENT ON TABLE  reported IS 'One row an entry, never changed: whoever made it takes it back and makes another.';
COMMENT ON COLUMN reported.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN reported.patient_id IS 'The patient.';
COMMENT ON COLUMN reported.id IS 'Names the entry.';
COMMENT ON COLUMN reported.kind IS 'allergy, medicine (自己申告) or claim (レセプト由来).';
COMMENT ON COLUMN reported.facility IS 'Institution code of who recorded it, or claimed; null: the patient.';
COMMENT ON COLUMN reported.since IS 'First day it speaks of.';
COMMENT ON COLUMN reported.until IS 'Last day; null: it goes on.';
COMMENT ON COLUMN reported.recorded_at IS 'When, by the exchange''s clock.';
COMMENT ON COLUMN reported.content_hash IS 'Keyed hash of who says what: the same said twice is one entry.';
COMMENT ON COLUMN reported.sealed IS 'JSON: who recorded it, and what.';
COMMENT ON COLUMN reported.created_at IS 'When the row was written, by the database''s clock.';
COMMENT ON COLUMN reported.updated_at IS 'When the row was last changed; it never is.';
COMMENT ON COLUMN reported.updated_by IS 'The act that wrote it.';
