-- 重要情報 is a fact of the result that bears it, and so of every version since: reading it changes nothing.

UPDATE prescription p
SET results = (
    SELECT jsonb_agg(r.entry || jsonb_build_object('important', r.number = ANY (p.important_unread)) ORDER BY r.number)
    FROM jsonb_array_elements(p.results) WITH ORDINALITY AS r (entry, number))
WHERE p.important_unread <> '{}';

UPDATE prescription_version v
SET results = (
    SELECT jsonb_agg(r.entry || jsonb_build_object('important', r.number = ANY (p.important_unread)) ORDER BY r.number)
    FROM jsonb_array_elements(v.results) WITH ORDINALITY AS r (entry, number))
FROM prescription p
WHERE p.bucket = v.bucket AND p.id = v.prescription_id AND p.important_unread <> '{}' AND v.results <> '[]';

ALTER TABLE prescription DROP COLUMN important_unread;
COMMENT ON COLUMN prescription.results IS 'One object a dispensing document, in order: pharmacy, day, days supplied, use and part it answers, whether it completed the use, whether it is important (重要情報), whether it stands.';
