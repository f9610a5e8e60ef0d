-- What is reported of two persons does not look the same at rest (decision 62): the hash that knows an entry again is
-- bound to whose it is. Entries written before are bound here, from the hash they have.

UPDATE reported SET content_hash = sha256(uuid_send(patient_id) || content_hash), updated_at = now(), updated_by = 'migrate';
COMMENT ON COLUMN reported.content_hash IS 'SHA-256 of the patient''s id and a keyed hash of who says what: the same said twice of one person is one entry.';
