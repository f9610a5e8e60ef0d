-- Consent: what patients let facilities see, the challenges their cards answer, and declared disasters.
--
-- A consent is in force while the clock says so and it is not withdrawn: every use of an identity token reads both,
-- and nothing has to be swept for that to be true.

ALTER TABLE identity_token
    DROP CONSTRAINT identity_token_method,
    ADD CONSTRAINT identity_token_method CHECK (method IN ('insurance', 'card', 'break-glass'));
COMMENT ON COLUMN identity_token.method IS 'How: insurance data against the directory, card, or break-glass (an emergency).';

CREATE TABLE consent (
    bucket        smallint    NOT NULL,
    patient_id    uuid        NOT NULL,
    id            uuid        NOT NULL,
    facility      text,
    kind          text        NOT NULL
                  CONSTRAINT consent_kind CHECK (kind IN ('medication-history', 'prescription-list')),
    permit        boolean     NOT NULL,
    channel       text        NOT NULL CONSTRAINT consent_channel CHECK (channel IN ('card-reader', 'patient-app')),
    token_hash    bytea,
    granted_at    timestamptz NOT NULL,
    valid_until   timestamptz,
    withdrawn_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    updated_by    text        NOT NULL,
    CONSTRAINT consent_pkey PRIMARY KEY (bucket, patient_id, id),
    CONSTRAINT consent_facility CHECK (facility IS NOT NULL OR NOT permit),
    CONSTRAINT consent_token CHECK (
        (channel = 'card-reader') = (token_hash IS NOT NULL)
        AND (channel <> 'card-reader' OR (permit AND valid_until IS NOT NULL)))
);
COMMENT ON TABLE  consent IS 'Consents and refusals (同意), given with an identity check by card or standing.';
COMMENT ON COLUMN consent.bucket IS 'Bucket of the patient.';
COMMENT ON COLUMN consent.patient_id IS 'Whose.';
COMMENT ON COLUMN consent.id IS 'Names it to the patient.';
COMMENT ON COLUMN consent.facility IS 'Institution code it is for; null, of a refusal only: everybody.';
COMMENT ON COLUMN consent.kind IS 'medication-history (薬剤情報の閲覧) or prescription-list (処方箋一覧).';
COMMENT ON COLUMN consent.permit IS 'false: a refusal.';
COMMENT ON COLUMN consent.channel IS 'card-reader, or patient-app: standing.';
COMMENT ON COLUMN consent.token_hash IS 'The one identity token that a consent at the card reader is for.';
COMMENT ON COLUMN consent.granted_at IS 'From when, by the exchange''s clock.';
COMMENT ON COLUMN consent.valid_until IS 'Until when; null: until it is withdrawn.';
COMMENT ON COLUMN consent.withdrawn_at IS 'When the patient took it back.';
COMMENT ON COLUMN consent.created_at IS 'When the row was written.';
COMMENT ON COLUMN consent.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN consent.updated_by IS 'The act that last changed it.';

CREATE TABLE card_challenge (
    nonce_hash  bytea       PRIMARY KEY,
    facility    text        NOT NULL,
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text        NOT NULL
);
COMMENT ON TABLE  card_challenge IS 'Challenges for patients'' cards, removed when answered. Grows with card checks under way.';
COMMENT ON COLUMN card_challenge.nonce_hash IS 'Keyed hash of the nonce.';
COMMENT ON COLUMN card_challenge.facility IS 'Institution code of the only facility that may use it.';
COMMENT ON COLUMN card_challenge.expires_at IS 'End of validity.';
COMMENT ON COLUMN card_challenge.created_at IS 'When the row was written.';
COMMENT ON COLUMN card_challenge.updated_at IS 'When the row was last changed; it never is.';
COMMENT ON COLUMN card_challenge.updated_by IS 'The act that wrote it.';
CREATE INDEX card_challenge_expires_at ON card_challenge (expires_at);

CREATE TABLE disaster (
    id           uuid        PRIMARY KEY,
    prefectures  text[]      NOT NULL CONSTRAINT disaster_somewhere CHECK (cardinality(prefectures) > 0),
    reason       text        NOT NULL,
    opened_at    timestamptz NOT NULL,
    valid_until  timestamptz NOT NULL CONSTRAINT disaster_ends CHECK (valid_until > opened_at),
    closed_at    timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    updated_by   text        NOT NULL
);
COMMENT ON TABLE  disaster IS 'Disasters the operator has declared (災害時): while one lasts, facilities there see medication histories without consent.';
COMMENT ON COLUMN disaster.id IS 'Names it.';
COMMENT ON COLUMN disaster.prefectures IS 'The first two digits of the institution codes it concerns (都道府県番号).';
COMMENT ON COLUMN disaster.reason IS 'Why, in the operator''s words; public.';
COMMENT ON COLUMN disaster.opened_at IS 'From when.';
COMMENT ON COLUMN disaster.valid_until IS 'Until when at the latest.';
COMMENT ON COLUMN disaster.closed_at IS 'When the operator ended it before.';
COMMENT ON COLUMN disaster.created_at IS 'When the row was written.';
COMMENT ON COLUMN disaster.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN disaster.updated_by IS 'The act that last changed it.';
