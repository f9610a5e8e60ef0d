-- The end of what is kept: who has died, so that a record can go when its term is over.

ALTER TABLE patient ADD COLUMN deceased_on date;
COMMENT ON COLUMN patient.deceased_on IS '死亡年月日, as in particulars_sealed: the retention job opens nothing.';
