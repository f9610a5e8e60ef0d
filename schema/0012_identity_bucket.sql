-- Whom insurance data name is read in one statement with what is kept beside the person: the row that finds the person
-- says where.

ALTER TABLE insured_identity ADD COLUMN patient_bucket smallint;
UPDATE insured_identity i SET patient_bucket = p.bucket FROM patient p WHERE p.id = i.patient_id;
ALTER TABLE insured_identity
    ALTER COLUMN patient_bucket SET NOT NULL,
    ADD CONSTRAINT insured_identity_patient_bucket_range CHECK (patient_bucket BETWEEN 0 AND 4095);
COMMENT ON COLUMN insured_identity.patient_bucket IS 'The person''s own bucket.';
