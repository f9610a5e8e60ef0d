-- Persons by name, birth date and sex: how somebody is found in an emergency who carries neither card nor insurance.

CREATE TABLE person_name (
    bucket      smallint    NOT NULL CONSTRAINT person_name_bucket_range CHECK (bucket BETWEEN 0 AND 4095),
    name_hash   bytea       NOT NULL CONSTRAINT person_name_hash_length CHECK (octet_length(name_hash) = 32),
    patient_id  uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text        NOT NULL,
    CONSTRAINT person_name_pkey PRIMARY KEY (bucket, name_hash, patient_id)
);
COMMENT ON TABLE  person_name IS 'By which name a person is found in an emergency. Written by eligibility imports.';
COMMENT ON COLUMN person_name.bucket IS 'First 12 bits of name_hash, not the patient''s bucket.';
COMMENT ON COLUMN person_name.name_hash IS 'Keyed hash of name (in kanji or kana, normalised), birth date and sex.';
COMMENT ON COLUMN person_name.patient_id IS 'The person; patient.id in the person''s own bucket.';
COMMENT ON COLUMN person_name.created_at IS 'When the row was made.';
COMMENT ON COLUMN person_name.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN person_name.updated_by IS 'The act that last wrote the row.';
