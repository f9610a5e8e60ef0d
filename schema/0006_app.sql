-- Apps of patients (PHR): programs that read one patient's own data with the patient's leave (SMART App Launch,
-- RFC 6749, RFC 7636).

CREATE TABLE app (
    client_id      text        PRIMARY KEY,
    name           text        NOT NULL,
    redirect_uris  text[]      NOT NULL CONSTRAINT app_redirect_uris CHECK (cardinality(redirect_uris) > 0),
    active         boolean     NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    updated_by     text        NOT NULL
);
COMMENT ON TABLE  app IS 'Programs that may ask patients for their data, entered by the operator. Public data, not sealed.';
COMMENT ON COLUMN app.client_id IS 'client_id (RFC 6749 2.2).';
COMMENT ON COLUMN app.name IS 'The name the patient reads on the consent screen.';
COMMENT ON COLUMN app.redirect_uris IS 'Where codes may be sent; compared character by character (RFC 9700 2.1).';
COMMENT ON COLUMN app.active IS 'false: the app gets no codes and no tokens, and its tokens are worth nothing.';
COMMENT ON COLUMN app.created_at IS 'When the row was made.';
COMMENT ON COLUMN app.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN app.updated_by IS 'The act that last wrote the row.';

CREATE TABLE app_grant (
    bucket          smallint    NOT NULL,
    id              uuid        NOT NULL,
    patient_id      uuid        NOT NULL,
    client_id       text        NOT NULL,
    scope           text        NOT NULL,
    redirect_uri    text        NOT NULL,
    code_challenge  text        NOT NULL,
    secret_hash     bytea,
    secret_kind     text        NOT NULL CONSTRAINT app_grant_secret_kind CHECK (secret_kind IN ('code', 'refresh')),
    secret_until    timestamptz NOT NULL,
    spent_hash      bytea,
    granted_at      timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    revoked_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    updated_by      text        NOT NULL,
    CONSTRAINT app_grant_pkey PRIMARY KEY (bucket, id),
    CONSTRAINT app_grant_secret UNIQUE (bucket, secret_hash)
);
COMMENT ON TABLE  app_grant IS 'What a patient lets an app read, and the one secret by which the app gets its next token.';
COMMENT ON COLUMN app_grant.bucket IS 'Bucket of the patient; codes and refresh tokens carry it masked.';
COMMENT ON COLUMN app_grant.id IS 'Names the grant to the patient.';
COMMENT ON COLUMN app_grant.patient_id IS 'The patient.';
COMMENT ON COLUMN app_grant.client_id IS 'app.client_id.';
COMMENT ON COLUMN app_grant.scope IS 'What was granted, scopes separated by spaces.';
COMMENT ON COLUMN app_grant.redirect_uri IS 'Where the code was sent; the token request has to name it again (RFC 6749 4.1.3).';
COMMENT ON COLUMN app_grant.code_challenge IS 'SHA-256 of the code verifier, base64url (RFC 7636 4.2, S256).';
COMMENT ON COLUMN app_grant.secret_hash IS 'Keyed hash of the code, later of the refresh token; null when the app has neither.';
COMMENT ON COLUMN app_grant.secret_kind IS 'code or refresh.';
COMMENT ON COLUMN app_grant.secret_until IS 'End of the secret''s validity.';
COMMENT ON COLUMN app_grant.spent_hash IS 'Keyed hash of the secret before it. Whoever shows that one has stolen it or was robbed: the grant ends.';
COMMENT ON COLUMN app_grant.granted_at IS 'When the patient agreed.';
COMMENT ON COLUMN app_grant.until IS 'End of the grant; nothing is read with it afterwards.';
COMMENT ON COLUMN app_grant.revoked_at IS 'When the patient withdrew it, or it was ended for a spent secret.';
COMMENT ON COLUMN app_grant.created_at IS 'When the row was written.';
COMMENT ON COLUMN app_grant.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN app_grant.updated_by IS 'The act that last changed it.';
CREATE INDEX app_grant_patient ON app_grant (bucket, patient_id);
CREATE INDEX app_grant_spent ON app_grant (bucket, spent_hash) WHERE spent_hash IS NOT NULL;

ALTER TABLE access_token ADD COLUMN grant_bucket smallint;
ALTER TABLE access_token ADD COLUMN grant_id uuid;
COMMENT ON COLUMN access_token.grant_bucket IS 'Of an app''s token: bucket of its grant.';
COMMENT ON COLUMN access_token.grant_id IS 'Of an app''s token: its grant. A token is worth as much as its grant is at the moment of use.';
