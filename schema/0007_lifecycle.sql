-- The whole life of a prescription: how it was issued, the versions of its document, what became of each dispensing
-- result, and one row a change.

ALTER TABLE prescription
    ADD COLUMN kind             text       NOT NULL DEFAULT 'electronic'
                                CONSTRAINT prescription_kind CHECK (kind IN ('electronic', 'paper', 'in-house')),
    ADD COLUMN first_due        date,
    ADD COLUMN results          jsonb      NOT NULL DEFAULT '[]',
    ADD COLUMN document_version smallint   NOT NULL DEFAULT 1,
    ADD COLUMN document_at      timestamptz,
    ADD COLUMN important_unread smallint[] NOT NULL DEFAULT '{}';

-- As far as the older columns tell: the first results completed their uses, the others are parts of the present one.
UPDATE prescription p
SET document_at = p.registered_at,
    results = coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'by', d.by,
            'on', coalesce(p.due_on, (p.changed_at AT TIME ZONE 'Asia/Tokyo')::date),
            'days_supplied', 0,
            'use_number', least(d.n, p.uses_done + 1),
            'part', 1 + greatest(d.n - p.uses_done - 1, 0),
            'complete', d.n <= p.uses_done,
            'standing', 'valid') ORDER BY d.n)
        FROM unnest(p.dispensers) WITH ORDINALITY AS d (by, n)), '[]');

ALTER TABLE prescription
    ALTER COLUMN document_at SET NOT NULL,
    ALTER COLUMN number_hash DROP NOT NULL,
    DROP CONSTRAINT prescription_state,
    DROP CONSTRAINT prescription_state_facts,
    ADD CONSTRAINT prescription_state
        CHECK (state IN ('issued', 'accepted', 'dispensed', 'cancelled', 'collected')),
    ADD CONSTRAINT prescription_state_facts CHECK (
        CASE state
            WHEN 'accepted' THEN pharmacy IS NOT NULL AND lease_end IS NOT NULL
            WHEN 'dispensed' THEN pharmacy IS NOT NULL AND lease_end IS NULL
            WHEN 'collected' THEN pharmacy IS NOT NULL AND lease_end IS NULL
            ELSE pharmacy IS NULL AND lease_end IS NULL
        END),
    ADD CONSTRAINT prescription_number CHECK ((number_hash IS NULL) = (kind = 'in-house')),
    DROP COLUMN due_on,
    DROP COLUMN partly,
    DROP COLUMN uses_done;
COMMENT ON COLUMN prescription.kind IS 'How it was issued: electronic (電子, signed), paper (紙, 登録あり) or in-house (院内), both unsigned.';
COMMENT ON COLUMN prescription.first_due IS 'When the first use falls due, of a later part of a split prescription (分割).';
COMMENT ON COLUMN prescription.results IS 'One object a dispensing document, in order: pharmacy, day, days supplied, use and part it answers, whether it completed the use, whether it stands.';
COMMENT ON COLUMN prescription.document_version IS 'Sequence of the prescription document in force; each amendment adds one.';
COMMENT ON COLUMN prescription.document_at IS 'When that document was taken in, by the exchange''s clock: signatures are judged as at that moment.';
COMMENT ON COLUMN prescription.important_unread IS 'Dispensing documents marked as important (重要情報) that the issuing clinic has not read, by sequence.';
COMMENT ON COLUMN prescription.pharmacy IS 'Institution code of the holding, dispensing or collecting pharmacy; of an in-house prescription its clinic.';
COMMENT ON COLUMN prescription.number_hash IS 'Keyed hash of patient and exchange number (引換番号); unique within the patient. An in-house prescription has none.';

ALTER TABLE document ADD COLUMN hash bytea;
UPDATE document d SET hash = p.document_hash
FROM prescription p WHERE p.bucket = d.bucket AND p.id = d.prescription_id AND d.part = 'prescription';
ALTER TABLE document ADD CONSTRAINT document_hash UNIQUE (bucket, hash);
ALTER TABLE prescription DROP COLUMN document_hash;
COMMENT ON COLUMN document.hash IS 'Keyed hash of the bytes of a prescription: the same document is registered once, and never again after it was amended.';
COMMENT ON COLUMN document.sequence IS '1, 2, … for the versions of the prescription; 1, 2, … for its dispensing documents, corrections counted.';

ALTER TABLE medication
    DROP CONSTRAINT medication_source,
    ADD CONSTRAINT medication_source CHECK (source IN ('prescribed', 'dispensed', 'in-house'));
COMMENT ON COLUMN medication.source IS 'prescribed: as registered; dispensed: as dispensed, which replaces it; in-house: given out by the clinic itself.';

CREATE TABLE prescription_version (
    bucket           smallint    NOT NULL,
    prescription_id  uuid        NOT NULL,
    version          bigint      NOT NULL,
    patient_id       uuid        NOT NULL,
    act              text        NOT NULL,
    clinic           text        NOT NULL,
    concerned        text,
    kind             text        NOT NULL,
    state            text        NOT NULL,
    pharmacy         text,
    lease_end        timestamptz,
    results          jsonb       NOT NULL,
    valid_until      date        NOT NULL,
    first_due        date,
    uses_allowed     smallint    NOT NULL,
    issued_on        date        NOT NULL,
    document_version smallint    NOT NULL,
    document_at      timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL,
    changed_in       xid8        NOT NULL DEFAULT pg_current_xact_id(),
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    updated_by       text        NOT NULL,
    CONSTRAINT prescription_version_pkey PRIMARY KEY (bucket, prescription_id, version)
);
COMMENT ON TABLE  prescription_version IS 'One row a change of a prescription, written in the statement of the change and never changed: its history, and what followers are told.';
COMMENT ON COLUMN prescription_version.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN prescription_version.prescription_id IS 'The prescription.';
COMMENT ON COLUMN prescription_version.version IS 'Its version after the change.';
COMMENT ON COLUMN prescription_version.patient_id IS 'The patient.';
COMMENT ON COLUMN prescription_version.act IS 'The act that changed it.';
COMMENT ON COLUMN prescription_version.clinic IS 'Institution code of the issuing clinic, which follows it.';
COMMENT ON COLUMN prescription_version.concerned IS 'Institution code of the pharmacy that acted or that holds it, which follows it too.';
COMMENT ON COLUMN prescription_version.kind IS 'As in prescription, after the change; so the columns below.';
COMMENT ON COLUMN prescription_version.state IS 'The stored state.';
COMMENT ON COLUMN prescription_version.pharmacy IS 'The holding, dispensing or collecting pharmacy.';
COMMENT ON COLUMN prescription_version.lease_end IS 'When the acceptance falls back.';
COMMENT ON COLUMN prescription_version.results IS 'The dispensing documents.';
COMMENT ON COLUMN prescription_version.valid_until IS 'Last day of the use period (使用期間).';
COMMENT ON COLUMN prescription_version.first_due IS 'When the first use falls due.';
COMMENT ON COLUMN prescription_version.uses_allowed IS '総使用回数.';
COMMENT ON COLUMN prescription_version.issued_on IS '交付年月日.';
COMMENT ON COLUMN prescription_version.document_version IS 'Sequence of the prescription document in force.';
COMMENT ON COLUMN prescription_version.document_at IS 'When that document was taken in.';
COMMENT ON COLUMN prescription_version.changed_at IS 'When it changed, by the exchange''s clock.';
COMMENT ON COLUMN prescription_version.changed_in IS 'The transaction of the change. Followers read rows of transactions that are all over, in its order, so that none is missed or told twice.';
COMMENT ON COLUMN prescription_version.created_at IS 'When the row was written, by the database''s clock.';
COMMENT ON COLUMN prescription_version.updated_at IS 'When the row was last changed; it never is.';
COMMENT ON COLUMN prescription_version.updated_by IS 'The act that wrote it.';
CREATE INDEX prescription_version_clinic
    ON prescription_version (clinic, changed_in, prescription_id, version);
CREATE INDEX prescription_version_concerned
    ON prescription_version (concerned, changed_in, prescription_id, version) WHERE concerned IS NOT NULL;

-- The history of older prescriptions begins with how they stand now.
INSERT INTO prescription_version
    (bucket, prescription_id, version, patient_id, act, clinic, concerned, kind, state, pharmacy, lease_end, results,
     valid_until, first_due, uses_allowed, issued_on, document_version, document_at, changed_at, updated_by)
SELECT bucket, id, version, patient_id, updated_by, clinic, pharmacy, kind, state, pharmacy, lease_end, results,
       valid_until, first_due, uses_allowed, issued_on, document_version, document_at, changed_at, updated_by
FROM prescription;
