-- The directory: facilities, persons, the identities and cards they are found by, and the limits on guessing.
--
-- Bucket first in every key of a table that grows with patients (invariant 12); everything personal sealed,
-- look-ups by keyed hash (invariant 8). Sealed columns are bytea named *_sealed; their form is that of
-- src/store/seal.rs, with the place (table, row, column) as additional data.

CREATE TABLE deployment (
    id smallint PRIMARY KEY DEFAULT 1 CONSTRAINT deployment_one_row CHECK (id = 1),
    key_proof bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL
);
COMMENT ON TABLE deployment IS 'One row about this database as a whole.';
COMMENT ON COLUMN deployment.id IS 'Always 1.';
COMMENT ON COLUMN deployment.key_proof IS 'Keyed hash of a constant: a server with another key list refuses to start.';
COMMENT ON COLUMN deployment.created_at IS 'When the row was made.';
COMMENT ON COLUMN deployment.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN deployment.updated_by IS 'The act that last wrote the row.';

CREATE TYPE facility_kind AS ENUM ('clinic', 'hospital', 'pharmacy');

CREATE TABLE facility (
    code text PRIMARY KEY CONSTRAINT facility_code_form CHECK (code ~ '^[0-9]{10}$'),
    kind facility_kind NOT NULL,
    name text NOT NULL,
    active boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL
);
COMMENT ON TABLE facility IS 'Institutions that may call the exchange. Public data, not sealed.';
COMMENT ON COLUMN facility.code IS '医療機関コード, 10 digits: prefecture 2, fee table 1, institution 7.';
COMMENT ON COLUMN facility.kind IS 'clinic 診療所, hospital 病院, pharmacy 薬局.';
COMMENT ON COLUMN facility.name IS 'Name as registered.';
COMMENT ON COLUMN facility.active IS 'false: the facility gets no new tokens.';
COMMENT ON COLUMN facility.created_at IS 'When the row was made.';
COMMENT ON COLUMN facility.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN facility.updated_by IS 'The act that last wrote the row.';

CREATE TABLE patient (
    bucket smallint NOT NULL CONSTRAINT patient_bucket_range CHECK (bucket BETWEEN 0 AND 4095),
    id uuid NOT NULL,
    history_version bigint NOT NULL DEFAULT 0,
    particulars_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL,
    PRIMARY KEY (bucket, id)
);
COMMENT ON TABLE patient IS 'Persons, by our own id, which outlasts changes of insurer and of card.';
COMMENT ON COLUMN patient.bucket IS '12 bits of a keyed hash of id.';
COMMENT ON COLUMN patient.id IS 'Our own id; in no document.';
COMMENT ON COLUMN patient.history_version IS 'Raised by every write to the medication history; guards check-and-register (invariant 6).';
COMMENT ON COLUMN patient.particulars_sealed IS 'Sealed JSON: name, kana, birth date, sex, date of death. Row: id.';
COMMENT ON COLUMN patient.created_at IS 'When the row was made.';
COMMENT ON COLUMN patient.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN patient.updated_by IS 'The act that last wrote the row.';

CREATE TABLE insured_identity (
    bucket smallint NOT NULL CONSTRAINT insured_identity_bucket_range CHECK (bucket BETWEEN 0 AND 4095),
    identity_hash bytea NOT NULL CONSTRAINT insured_identity_hash_length CHECK (octet_length(identity_hash) = 32),
    valid_from date NOT NULL,
    valid_until date,
    branch_hash bytea,
    patient_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL,
    PRIMARY KEY (bucket, identity_hash, patient_id, valid_from),
    CONSTRAINT insured_identity_period CHECK (valid_until IS NULL OR valid_until >= valid_from)
);
COMMENT ON TABLE insured_identity IS 'By which insurance data (被保険者資格) a person is found, and when.';
COMMENT ON COLUMN insured_identity.bucket IS 'First 12 bits of identity_hash, not the patient''s bucket: the patient is what the look-up is to find.';
COMMENT ON COLUMN insured_identity.identity_hash IS 'Keyed hash of insurer number, symbol, number and birth date, normalised.';
COMMENT ON COLUMN insured_identity.valid_from IS '資格取得日, first day of validity.';
COMMENT ON COLUMN insured_identity.valid_until IS 'Last day of validity; null while open.';
COMMENT ON COLUMN insured_identity.branch_hash IS 'Keyed hash of the branch number (枝番) with identity_hash; null when the directory has none.';
COMMENT ON COLUMN insured_identity.patient_id IS 'The person; patient.id in the person''s own bucket.';
COMMENT ON COLUMN insured_identity.created_at IS 'When the row was made.';
COMMENT ON COLUMN insured_identity.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN insured_identity.updated_by IS 'The act that last wrote the row.';

CREATE TABLE coverage (
    bucket smallint NOT NULL CONSTRAINT coverage_bucket_range CHECK (bucket BETWEEN 0 AND 4095),
    patient_id uuid NOT NULL,
    identity_hash bytea NOT NULL CONSTRAINT coverage_hash_length CHECK (octet_length(identity_hash) = 32),
    valid_from date NOT NULL,
    valid_until date,
    content_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL,
    PRIMARY KEY (bucket, patient_id, identity_hash, valid_from),
    CONSTRAINT coverage_period CHECK (valid_until IS NULL OR valid_until >= valid_from)
);
COMMENT ON TABLE coverage IS 'The insurance (被保険者資格) of a person, beside the person.';
COMMENT ON COLUMN coverage.bucket IS 'The patient''s bucket.';
COMMENT ON COLUMN coverage.patient_id IS 'The person; patient.id.';
COMMENT ON COLUMN coverage.identity_hash IS 'insured_identity.identity_hash.';
COMMENT ON COLUMN coverage.valid_from IS '資格取得日, first day of validity.';
COMMENT ON COLUMN coverage.valid_until IS 'Last day of validity; null while open.';
COMMENT ON COLUMN coverage.content_sealed IS 'Sealed JSON: insurer number, symbol, number, branch number, normalised. Row: patient_id, identity_hash, valid_from as text.';
COMMENT ON COLUMN coverage.created_at IS 'When the row was made.';
COMMENT ON COLUMN coverage.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN coverage.updated_by IS 'The act that last wrote the row.';

CREATE TABLE card (
    bucket smallint NOT NULL CONSTRAINT card_bucket_range CHECK (bucket BETWEEN 0 AND 4095),
    card_hash bytea NOT NULL CONSTRAINT card_hash_length CHECK (octet_length(card_hash) = 32),
    patient_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL,
    PRIMARY KEY (bucket, card_hash)
);
COMMENT ON TABLE card IS 'Which person an individual number card (マイナンバーカード) belongs to.';
COMMENT ON COLUMN card.bucket IS 'First 12 bits of card_hash, not the patient''s bucket.';
COMMENT ON COLUMN card.card_hash IS 'Keyed hash of the SHA-256 fingerprint of the user authentication certificate.';
COMMENT ON COLUMN card.patient_id IS 'The person; patient.id in the person''s own bucket.';
COMMENT ON COLUMN card.created_at IS 'When the row was made.';
COMMENT ON COLUMN card.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN card.updated_by IS 'The act that last wrote the row.';

CREATE TABLE identity_attempt (
    facility_code text NOT NULL,
    kind text NOT NULL,
    window_start timestamptz NOT NULL,
    failures integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL,
    PRIMARY KEY (facility_code, kind)
);
COMMENT ON TABLE identity_attempt IS 'Failed guesses of a facility in its present window. Limits the guessing facility and no other (invariant 5).';
COMMENT ON COLUMN identity_attempt.facility_code IS 'Who guesses.';
COMMENT ON COLUMN identity_attempt.kind IS 'What is guessed: identity or exchange-number.';
COMMENT ON COLUMN identity_attempt.window_start IS 'When the present window began.';
COMMENT ON COLUMN identity_attempt.failures IS 'Failures in the present window.';
COMMENT ON COLUMN identity_attempt.created_at IS 'When the row was made.';
COMMENT ON COLUMN identity_attempt.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN identity_attempt.updated_by IS 'The act that last wrote the row.';
