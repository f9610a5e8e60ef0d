-- The exchange: sessions, prescriptions and their documents, medication history, findings, access record.
--
-- `bucket` leads every key of a table that grows with patients. Unless a comment says otherwise it is 12 bits of a
-- keyed hash of the patient id, so that all rows of one patient lie together on a partitioned or distributed
-- database. Hot tables carry no foreign keys: the acts write all rows of a patient in one statement.
-- `sealed` columns are AES-256-GCM ciphertexts bound to table, row and column; `*_hash` columns are HMAC-SHA-256.

CREATE TABLE client_assertion (
    jti_hash    bytea       PRIMARY KEY,
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text        NOT NULL
);
COMMENT ON TABLE  client_assertion IS 'Client assertions already used (RFC 7523 3, jti). Grows with logins, not with patients.';
COMMENT ON COLUMN client_assertion.jti_hash IS 'Keyed hash of issuer certificate and jti.';
COMMENT ON COLUMN client_assertion.expires_at IS 'From here on the assertion is refused by its own exp, and the row may go.';
COMMENT ON COLUMN client_assertion.created_at IS 'When the row was written.';
COMMENT ON COLUMN client_assertion.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN client_assertion.updated_by IS 'The act that last changed it.';
CREATE INDEX client_assertion_expires_at ON client_assertion (expires_at);

CREATE TABLE access_token (
    token_hash  bytea       PRIMARY KEY,
    sealed      bytea       NOT NULL,
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text        NOT NULL
);
COMMENT ON TABLE  access_token IS 'Opaque access tokens, by hash. Grows with logins.';
COMMENT ON COLUMN access_token.token_hash IS 'Keyed hash of the token; the token itself is nowhere.';
COMMENT ON COLUMN access_token.sealed IS 'JSON: actor, practitioner at the terminal, fingerprint of the client certificate the token is bound to.';
COMMENT ON COLUMN access_token.expires_at IS 'End of validity.';
COMMENT ON COLUMN access_token.created_at IS 'When the row was written.';
COMMENT ON COLUMN access_token.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN access_token.updated_by IS 'The act that last changed it.';
CREATE INDEX access_token_expires_at ON access_token (expires_at);

CREATE TABLE identity_token (
    bucket      smallint    NOT NULL,
    token_hash  bytea       NOT NULL,
    patient_id  uuid        NOT NULL,
    facility    text        NOT NULL,
    method      text        NOT NULL CONSTRAINT identity_token_method CHECK (method IN ('insurance')),
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text        NOT NULL,
    CONSTRAINT identity_token_pkey PRIMARY KEY (bucket, token_hash)
);
COMMENT ON TABLE  identity_token IS 'Proofs that a facility has verified a patient''s identity.';
COMMENT ON COLUMN identity_token.bucket IS 'Bucket of the patient; the token carries it masked.';
COMMENT ON COLUMN identity_token.token_hash IS 'Keyed hash of the token.';
COMMENT ON COLUMN identity_token.patient_id IS 'Whose identity was verified.';
COMMENT ON COLUMN identity_token.facility IS 'Institution code of the only facility that may use the token.';
COMMENT ON COLUMN identity_token.method IS 'How: insurance (insurance data against the directory).';
COMMENT ON COLUMN identity_token.expires_at IS 'End of validity.';
COMMENT ON COLUMN identity_token.created_at IS 'When the row was written.';
COMMENT ON COLUMN identity_token.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN identity_token.updated_by IS 'The act that last changed it.';
CREATE INDEX identity_token_expires_at ON identity_token (expires_at);

CREATE TABLE prescription (
    bucket         smallint    NOT NULL,
    id             uuid        NOT NULL,
    patient_id     uuid        NOT NULL,
    version        bigint      NOT NULL,
    clinic         text        NOT NULL,
    state          text        NOT NULL
                   CONSTRAINT prescription_state CHECK (state IN ('issued', 'accepted', 'dispensed', 'cancelled')),
    pharmacy       text,
    lease_end      timestamptz,
    due_on         date,
    partly         boolean     NOT NULL DEFAULT false,
    uses_allowed   smallint    NOT NULL,
    uses_done      smallint    NOT NULL DEFAULT 0,
    dispensers     text[]      NOT NULL DEFAULT '{}',
    issued_on      date        NOT NULL,
    valid_until    date        NOT NULL,
    registered_at  timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL,
    number_hash    bytea       NOT NULL,
    document_hash  bytea       NOT NULL,
    sealed         bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    updated_by     text        NOT NULL,
    CONSTRAINT prescription_pkey PRIMARY KEY (bucket, id),
    CONSTRAINT prescription_exchange_number UNIQUE (bucket, patient_id, number_hash),
    CONSTRAINT prescription_document UNIQUE (bucket, patient_id, document_hash),
    CONSTRAINT prescription_state_facts CHECK (
        CASE state
            WHEN 'accepted' THEN pharmacy IS NOT NULL AND lease_end IS NOT NULL
            WHEN 'dispensed' THEN pharmacy IS NOT NULL AND lease_end IS NULL AND uses_done = uses_allowed
            ELSE pharmacy IS NULL AND lease_end IS NULL AND NOT partly
        END)
);
COMMENT ON TABLE  prescription IS 'One row a prescription: where it stands in its life.';
COMMENT ON COLUMN prescription.bucket IS 'Bucket of the patient; the id carries it masked.';
COMMENT ON COLUMN prescription.id IS '処方箋ID, UUIDv8.';
COMMENT ON COLUMN prescription.patient_id IS 'The patient.';
COMMENT ON COLUMN prescription.version IS 'Raised by every change; the ETag, and the guard of every write.';
COMMENT ON COLUMN prescription.clinic IS 'Institution code of the issuing clinic.';
COMMENT ON COLUMN prescription.state IS 'The stored state; what is shown is computed from it and the clock.';
COMMENT ON COLUMN prescription.pharmacy IS 'Institution code of the holding or dispensing pharmacy.';
COMMENT ON COLUMN prescription.lease_end IS 'When an acceptance falls back.';
COMMENT ON COLUMN prescription.due_on IS '次回調剤予定日 of a refill prescription.';
COMMENT ON COLUMN prescription.partly IS 'Whether part of the present use has been dispensed.';
COMMENT ON COLUMN prescription.uses_allowed IS '総使用回数: 1, or up to 3 for a refill prescription.';
COMMENT ON COLUMN prescription.uses_done IS 'Completed uses.';
COMMENT ON COLUMN prescription.dispensers IS 'Institution code of the pharmacy of each dispensing document, in order.';
COMMENT ON COLUMN prescription.issued_on IS '交付年月日.';
COMMENT ON COLUMN prescription.valid_until IS 'Last day of the use period (使用期間).';
COMMENT ON COLUMN prescription.registered_at IS 'When the exchange registered it, by the exchange''s clock.';
COMMENT ON COLUMN prescription.changed_at IS 'Last change, by the exchange''s clock.';
COMMENT ON COLUMN prescription.number_hash IS 'Keyed hash of patient and exchange number (引換番号); unique within the patient.';
COMMENT ON COLUMN prescription.document_hash IS 'Keyed hash of the original document: the same document is registered once.';
COMMENT ON COLUMN prescription.sealed IS 'JSON: exchange number, names for display, drug code conversions of the delivered form.';
COMMENT ON COLUMN prescription.created_at IS 'When the row was written, by the database''s clock.';
COMMENT ON COLUMN prescription.updated_at IS 'When the row was last changed, by the database''s clock.';
COMMENT ON COLUMN prescription.updated_by IS 'The act that last changed it.';
CREATE INDEX prescription_clinic ON prescription (clinic, changed_at, id);
CREATE INDEX prescription_pharmacy ON prescription (pharmacy, changed_at, id) WHERE pharmacy IS NOT NULL;
CREATE INDEX prescription_dispensers ON prescription USING gin (dispensers) WHERE dispensers <> '{}';

CREATE TABLE document (
    bucket           smallint    NOT NULL,
    prescription_id  uuid        NOT NULL,
    part             text        NOT NULL CONSTRAINT document_part CHECK (part IN ('prescription', 'dispensing')),
    sequence         smallint    NOT NULL,
    media_type       text        NOT NULL,
    sealed           bytea       NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    updated_by       text        NOT NULL,
    CONSTRAINT document_pkey PRIMARY KEY (bucket, prescription_id, part, sequence)
);
COMMENT ON TABLE  document IS 'The signed originals, byte for byte (invariant 1).';
COMMENT ON COLUMN document.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN document.prescription_id IS 'The prescription.';
COMMENT ON COLUMN document.part IS 'prescription, or dispensing.';
COMMENT ON COLUMN document.sequence IS '1 for the prescription; 1, 2, … for its dispensings.';
COMMENT ON COLUMN document.media_type IS 'The media type it was sent with.';
COMMENT ON COLUMN document.sealed IS 'The bytes.';
COMMENT ON COLUMN document.created_at IS 'When the row was written.';
COMMENT ON COLUMN document.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN document.updated_by IS 'The act that last changed it.';
ALTER TABLE document ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE medication (
    bucket           smallint    NOT NULL,
    patient_id       uuid        NOT NULL,
    prescription_id  uuid        NOT NULL,
    source           text        NOT NULL CONSTRAINT medication_source CHECK (source IN ('prescribed', 'dispensed')),
    sequence         smallint    NOT NULL,
    until            date        NOT NULL,
    sealed           bytea       NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    updated_by       text        NOT NULL,
    CONSTRAINT medication_pkey PRIMARY KEY (bucket, patient_id, prescription_id, source, sequence)
);
COMMENT ON TABLE  medication IS 'What the checker compares with: one row a document, all its medication periods inside.';
COMMENT ON COLUMN medication.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN medication.patient_id IS 'The patient.';
COMMENT ON COLUMN medication.prescription_id IS 'The prescription it comes from.';
COMMENT ON COLUMN medication.source IS 'prescribed: as registered; dispensed: as dispensed, which replaces it.';
COMMENT ON COLUMN medication.sequence IS '1, or the number of the dispensing.';
COMMENT ON COLUMN medication.until IS 'Last day of its longest period: rows that ended are not read by checks.';
COMMENT ON COLUMN medication.sealed IS 'JSON: the periods (drug code, name, first and last day, institution).';
COMMENT ON COLUMN medication.created_at IS 'When the row was written.';
COMMENT ON COLUMN medication.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN medication.updated_by IS 'The act that last changed it.';

CREATE TABLE finding (
    bucket           smallint    NOT NULL,
    id               uuid        NOT NULL,
    facility         text        NOT NULL,
    patient_id       uuid        NOT NULL,
    prescription_id  uuid,
    found_at         timestamptz NOT NULL,
    mitigated_at     timestamptz,
    sealed           bytea       NOT NULL,
    mitigation       bytea,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    updated_by       text        NOT NULL,
    CONSTRAINT finding_pkey PRIMARY KEY (bucket, id, facility),
    CONSTRAINT finding_mitigation CHECK ((mitigation IS NULL) = (mitigated_at IS NULL))
);
COMMENT ON TABLE  finding IS 'Findings of the checker as shown to a facility, and its reasons for going on.';
COMMENT ON COLUMN finding.bucket IS 'Bucket of the patient; the id carries it masked.';
COMMENT ON COLUMN finding.id IS 'Stable id: the same rule, drugs and interval give the same id.';
COMMENT ON COLUMN finding.facility IS 'Institution code of the facility it was shown to. Each gives its own reason.';
COMMENT ON COLUMN finding.patient_id IS 'The patient.';
COMMENT ON COLUMN finding.prescription_id IS 'The prescription that was registered or dispensed in spite of it.';
COMMENT ON COLUMN finding.found_at IS 'When it was first shown.';
COMMENT ON COLUMN finding.mitigated_at IS 'When a reason was given.';
COMMENT ON COLUMN finding.sealed IS 'JSON: kind, severity, both sides.';
COMMENT ON COLUMN finding.mitigation IS 'Sealed JSON: code (ActDetectedIssueManagementCode), comment, author.';
COMMENT ON COLUMN finding.created_at IS 'When the row was written.';
COMMENT ON COLUMN finding.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN finding.updated_by IS 'The act that last changed it.';
CREATE INDEX finding_patient ON finding (bucket, patient_id, facility);
CREATE INDEX finding_prescription ON finding (bucket, prescription_id) WHERE prescription_id IS NOT NULL;

CREATE TABLE access_record (
    bucket           smallint    NOT NULL,
    patient_id       uuid        NOT NULL,
    id               uuid        NOT NULL,
    at               timestamptz NOT NULL,
    act              text        NOT NULL,
    prescription_id  uuid,
    sealed           bytea       NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    updated_by       text        NOT NULL,
    CONSTRAINT access_record_pkey PRIMARY KEY (bucket, patient_id, id)
);
COMMENT ON TABLE  access_record IS 'Who looked or acted, when and why, for the patient to read (invariant 7).';
COMMENT ON COLUMN access_record.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN access_record.patient_id IS 'Whose data.';
COMMENT ON COLUMN access_record.id IS 'Id of the request: one request that shows several of the patient''s prescriptions is one look.';
COMMENT ON COLUMN access_record.at IS 'When, by the exchange''s clock.';
COMMENT ON COLUMN access_record.act IS 'The act.';
COMMENT ON COLUMN access_record.prescription_id IS 'The prescription, when it was one.';
COMMENT ON COLUMN access_record.sealed IS 'JSON: facility and person, outcome, stated reason.';
COMMENT ON COLUMN access_record.created_at IS 'When the row was written.';
COMMENT ON COLUMN access_record.updated_at IS 'When the row was last changed; it never is.';
COMMENT ON COLUMN access_record.updated_by IS 'The act that wrote it.';

CREATE TABLE idempotency (
    bucket        smallint    NOT NULL,
    key_hash      bytea       NOT NULL,
    request_hash  bytea       NOT NULL,
    sealed        bytea       NOT NULL,
    expires_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    updated_by    text        NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (bucket, key_hash)
);
COMMENT ON TABLE  idempotency IS 'First answers by Idempotency-Key (invariant 3), written in the transaction of the act.';
COMMENT ON COLUMN idempotency.bucket IS '12 bits of the key''s own hash: a key reused for another patient must still be met.';
COMMENT ON COLUMN idempotency.key_hash IS 'Keyed hash of caller and key.';
COMMENT ON COLUMN idempotency.request_hash IS 'Keyed hash of method, path, media type and body.';
COMMENT ON COLUMN idempotency.sealed IS 'The answer: status, headers, body.';
COMMENT ON COLUMN idempotency.expires_at IS 'From here on the key is free again.';
COMMENT ON COLUMN idempotency.created_at IS 'When the row was written.';
COMMENT ON COLUMN idempotency.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN idempotency.updated_by IS 'The act that last changed it.';
CREATE INDEX idempotency_expires_at ON idempotency (expires_at);
