-- Representatives (代理人): who may act for a patient, how far and until when.

CREATE TABLE mandate (
    bucket             smallint    NOT NULL,
    id                 uuid        NOT NULL,
    patient_id         uuid        NOT NULL,
    representative_id  uuid        NOT NULL,
    relationship       text        NOT NULL
                       CONSTRAINT mandate_relationship CHECK (relationship IN ('parent', 'guardian', 'family', 'carer')),
    scope              text        NOT NULL CONSTRAINT mandate_scope CHECK (scope IN ('read', 'manage')),
    granted_at         timestamptz NOT NULL,
    until              timestamptz NOT NULL,
    ended_at           timestamptz,
    evidence_sealed    bytea,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    updated_by         text        NOT NULL,
    CONSTRAINT mandate_pkey PRIMARY KEY (bucket, id),
    CONSTRAINT mandate_of_another CHECK (representative_id <> patient_id),
    CONSTRAINT mandate_period CHECK (until > granted_at)
);
COMMENT ON TABLE  mandate IS 'Mandates (委任): persons who may act for a patient.';
COMMENT ON COLUMN mandate.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN mandate.id IS 'Names the mandate.';
COMMENT ON COLUMN mandate.patient_id IS 'Who is represented.';
COMMENT ON COLUMN mandate.representative_id IS 'Who acts: another patient.id, in its own bucket.';
COMMENT ON COLUMN mandate.relationship IS 'parent 親権者, guardian 後見人, family 家族, carer 介護者.';
COMMENT ON COLUMN mandate.scope IS 'read: sees what the patient sees; manage: also acts, but gives no mandates.';
COMMENT ON COLUMN mandate.granted_at IS 'From when.';
COMMENT ON COLUMN mandate.until IS 'End; of a parent the operator''s to set, by the age of the child.';
COMMENT ON COLUMN mandate.ended_at IS 'When it was withdrawn, given back or ended by the operator.';
COMMENT ON COLUMN mandate.evidence_sealed IS 'JSON: the operator''s evidence; null when the patient gave it. Row: id.';
COMMENT ON COLUMN mandate.created_at IS 'When the row was written.';
COMMENT ON COLUMN mandate.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN mandate.updated_by IS 'The act that last changed it.';
CREATE INDEX mandate_patient ON mandate (bucket, patient_id);
CREATE INDEX mandate_representative ON mandate (representative_id);

ALTER TABLE access_token ADD COLUMN mandate_id uuid;
COMMENT ON COLUMN access_token.mandate_id IS 'Of a representative''s token: the mandate, in the bucket of patient_bucket. A token is worth as much as its mandate is at the moment of use.';
