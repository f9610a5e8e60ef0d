-- The access record is closed into blocks, each bound to the one before it: what is altered, put in or taken out
-- afterwards shows (decision 48).

ALTER TABLE access_record ADD COLUMN written_in xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN access_record.written_in IS 'The transaction that wrote it: what decides in which block it is closed.';
CREATE INDEX access_record_written_in ON access_record (written_in);

CREATE TABLE access_block (
    number         bigint      CONSTRAINT access_block_pkey PRIMARY KEY,
    written_from   xid8        NOT NULL,
    written_until  xid8        NOT NULL,
    oldest_at      timestamptz NOT NULL,
    closed_at      timestamptz NOT NULL,
    leaves         bytea       NOT NULL,
    previous       bytea       NOT NULL,
    hash           bytea       NOT NULL,
    mac            bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    updated_by     text        NOT NULL,
    CONSTRAINT access_block_range CHECK (written_from < written_until),
    CONSTRAINT access_block_leaves CHECK (octet_length(leaves) > 0 AND octet_length(leaves) % 32 = 0)
);
ALTER TABLE access_block ALTER COLUMN leaves SET STORAGE EXTERNAL;
COMMENT ON TABLE  access_block IS 'The chain over the access record: one chain over all buckets. Rows are added, never changed, and stay when records are deleted after their term.';
COMMENT ON COLUMN access_block.number IS 'From 1, without gaps.';
COMMENT ON COLUMN access_block.written_from IS 'First transaction whose records it holds: where the block before it ended.';
COMMENT ON COLUMN access_block.written_until IS 'First transaction whose records it does not hold any more.';
COMMENT ON COLUMN access_block.oldest_at IS 'When the oldest of its records was made: records may be missing once that is longer ago than they are kept.';
COMMENT ON COLUMN access_block.closed_at IS 'When it was closed, by the exchange''s clock.';
COMMENT ON COLUMN access_block.leaves IS 'SHA-256 of every record in it, all columns, in ascending order.';
COMMENT ON COLUMN access_block.previous IS 'Hash of the block before it; of the first, zeros.';
COMMENT ON COLUMN access_block.hash IS 'SHA-256 over all of the above.';
COMMENT ON COLUMN access_block.mac IS 'Keyed hash of the hash: whoever has the database alone cannot make another chain.';
COMMENT ON COLUMN access_block.created_at IS 'When the row was written.';
COMMENT ON COLUMN access_block.updated_at IS 'When the row was last changed; it never is.';
COMMENT ON COLUMN access_block.updated_by IS 'The act that wrote it.';
