//! The chain over the access record (decision 48): records are closed into blocks, each bound to the block before it,
//! so that nobody alters, adds or removes one unnoticed. Owns the blocks; knows nothing of what a record says.
//!
//! Writers know nothing of it. A record bears the transaction that wrote it; once every transaction below the horizon
//! (`pg_snapshot_xmin`) is over, all records of those that are in no block yet make the next.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use ring::digest::{Context, SHA256, digest};
use tokio_postgres::Row;
use uuid::Uuid;

use super::access::TraceContent;
use super::feed::transaction_of;
use super::pool::{Store, StoreError};

/// Records of a block, as near as transactions allow.
const BLOCK: i64 = 10_000;
/// Blocks verified at a time.
const BATCH: i64 = 64;
const LEAF: usize = 32;
/// How much older than its block a record may say it is, to count as past its term. They are closed within seconds.
const LATE: TimeDelta = TimeDelta::days(1);

type Hash = [u8; LEAF];

/// A block, as it is noted outside the database: its number and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number.
    pub number: i64,
    /// The hash.
    pub hash: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is a block's number, a colon, and 64 hexadecimal digits")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, digits) = text.split_once(':').ok_or(HeadError)?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or(HeadError)?;
        if digits.len() != 2 * LEAF || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(HeadError);
        }
        let mut hash = [0; LEAF];
        for (byte, place) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| HeadError)?;
        }
        Ok(Self { number, hash })
    }
}

/// A block that was closed.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// The block.
    pub head: Head,
    /// Whether more records wait already.
    pub more: bool,
}

/// Something that is not as it was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A block does not follow the one before it, or does not hash to what it says.
    Block {
        /// Its number.
        number: i64,
    },
    /// A block was not made with this exchange's keys.
    Forged {
        /// Its number.
        number: i64,
    },
    /// A record is not what was closed, or was put in later.
    Record {
        /// The block of its transaction.
        number: i64,
        /// Its id.
        id: Uuid,
    },
    /// Records are gone before their term.
    Missing {
        /// Their block.
        number: i64,
        /// How many.
        records: usize,
    },
    /// A record was not written by this exchange, though it was there when its block was closed, or is in none yet.
    Unsealed {
        /// Its id.
        id: Uuid,
    },
    /// The block that was noted is not in the chain.
    Head,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { number } => write!(f, "block {number} is not what was closed"),
            Self::Forged { number } => write!(f, "block {number} was not made with this exchange's keys"),
            Self::Record { number, id } => {
                write!(f, "block {number}: record {id} is not what was closed, or was put in later")
            }
            Self::Missing { number, records } => write!(f, "block {number}: {records} records are gone"),
            Self::Unsealed { id } => write!(f, "record {id} was not written by this exchange"),
            Self::Head => f.write_str("the head that was noted is not in the chain"),
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Blocks.
    pub blocks: i64,
    /// Records in them.
    pub records: usize,
    /// Records of them that were deleted after their term.
    pub deleted: usize,
    /// Records in no block yet.
    pub open: usize,
    /// The last block.
    pub head: Option<Head>,
    /// Everything that is not as it was closed.
    pub faults: Vec<Fault>,
}

/// A row of `access_block`.
struct Block {
    number: i64,
    from: u64,
    until: u64,
    oldest_at: DateTime<Utc>,
    closed_at: DateTime<Utc>,
    leaves: Vec<u8>,
    previous: Vec<u8>,
    hash: Vec<u8>,
    mac: Vec<u8>,
}

impl Block {
    /// SHA-256 over everything a block says.
    fn digest(&self) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(b"hikikae access block 1");
        context.update(&self.number.to_be_bytes());
        context.update(&self.from.to_be_bytes());
        context.update(&self.until.to_be_bytes());
        context.update(&self.oldest_at.timestamp_micros().to_be_bytes());
        context.update(&self.closed_at.timestamp_micros().to_be_bytes());
        context.update(&self.previous);
        context.update(digest(&SHA256, &self.leaves).as_ref());
        finish(context)
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.get("number"),
            from: transaction_of("access_block", row, "written_from")?,
            until: transaction_of("access_block", row, "written_until")?,
            oldest_at: row.get("oldest_at"),
            closed_at: row.get("closed_at"),
            leaves: row.get("leaves"),
            previous: row.get("previous"),
            hash: row.get("hash"),
            mac: row.get("mac"),
        })
    }
}

/// A record, as far as the chain knows one.
struct Leaf {
    id: Uuid,
    at: DateTime<Utc>,
    hash: Hash,
    sealed: Vec<u8>,
}

impl Leaf {
    /// SHA-256 over every column, each with its length before it.
    fn read(row: &Row) -> Result<Self, StoreError> {
        let (id, at): (Uuid, DateTime<Utc>) = (row.get("id"), row.get("at"));
        let (bucket, patient): (i16, Uuid) = (row.get("bucket"), row.get("patient_id"));
        let (act, by): (&str, &str) = (row.get("act"), row.get("updated_by"));
        let prescription: Option<Uuid> = row.get("prescription_id");
        let sealed: Vec<u8> = row.get("sealed");
        let (created, updated): (DateTime<Utc>, DateTime<Utc>) =
            (row.get("created_at"), row.get("updated_at"));
        let written_in = transaction_of("access_record", row, "written_in")?;
        let mut context = Context::new(&SHA256);
        context.update(b"hikikae access record 1");
        for column in [
            &bucket.to_be_bytes()[..],
            patient.as_bytes(),
            id.as_bytes(),
            &at.timestamp_micros().to_be_bytes(),
            act.as_bytes(),
            prescription.as_ref().map_or(&[], |id| &id.as_bytes()[..]),
            &sealed,
            &created.timestamp_micros().to_be_bytes(),
            &updated.timestamp_micros().to_be_bytes(),
            by.as_bytes(),
            &written_in.to_be_bytes(),
        ] {
            context.update(&(column.len() as u64).to_be_bytes());
            context.update(column);
        }
        Ok(Self { id, at, hash: finish(context), sealed })
    }
}

fn finish(context: Context) -> Hash {
    let mut hash = [0; LEAF];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl Store {
    /// Closes the next block, when records wait that no transaction can be added to any more. Several servers may try
    /// at once: one wins.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; corrupt, when the database counts its transactions anew since the last block.
    pub async fn access_block_close(&self, now: DateTime<Utc>) -> Result<Option<Closed>, StoreError> {
        const SQL: &str = "-- access-block-range
            WITH place AS (
                SELECT coalesce(b.number, 0) AS number, coalesce(b.written_until, '0') AS written_from,
                       coalesce(b.hash, decode(repeat('00', 32), 'hex')) AS hash, h.horizon
                FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) AS h
                LEFT JOIN (SELECT * FROM access_block ORDER BY number DESC LIMIT 1) AS b ON true
            )
            SELECT number, written_from::text AS written_from, hash, horizon::text AS horizon,
                   (SELECT written_in FROM access_record
                    WHERE written_in >= place.written_from AND written_in < place.horizon
                    ORDER BY written_in LIMIT 1)::text AS first,
                   (SELECT written_in FROM access_record
                    WHERE written_in >= place.written_from AND written_in < place.horizon
                    ORDER BY written_in OFFSET $1 LIMIT 1)::text AS edge
            FROM place";
        let row = self.one_opt("access-block-close", SQL, &[&BLOCK]).await?;
        let row = row.ok_or(StoreError::RowCount { rows: 0 })?;
        let from = transaction_of("access_block", &row, "written_from")?;
        let horizon = transaction_of("access_block", &row, "horizon")?;
        if horizon < from {
            return Err(StoreError::corrupt("access_block", "written_until", from));
        }
        if row.get::<_, Option<&str>>("first").is_none() {
            return Ok(None);
        }
        let first = transaction_of("access_record", &row, "first")?;
        // What one transaction wrote is never parted.
        let edge = match row.get::<_, Option<&str>>("edge") {
            Some(_) => Some(transaction_of("access_record", &row, "edge")?.max(first + 1)),
            None => None,
        };
        let until = edge.unwrap_or(horizon);
        let mut records = self.access_leaves("access-block-close", from, until).await?;
        let Some(oldest_at) = records.iter().map(|leaf| leaf.at).min() else { return Ok(None) };
        records.sort_by_key(|leaf| leaf.hash);
        let mut block = Block {
            number: row.get::<_, i64>("number") + 1,
            from,
            until,
            oldest_at,
            closed_at: now,
            leaves: records.iter().flat_map(|leaf| leaf.hash).collect(),
            previous: row.get("hash"),
            hash: Vec::new(),
            mac: Vec::new(),
        };
        let hash = block.digest();
        (block.hash, block.mac) = (hash.to_vec(), self.access_block_mac(&hash).to_vec());
        let written = self.access_block_insert(&block).await?;
        Ok(written.then_some(Closed { head: Head { number: block.number, hash }, more: edge.is_some() }))
    }

    async fn access_block_insert(&self, block: &Block) -> Result<bool, StoreError> {
        const SQL: &str = "-- access-block-insert
            INSERT INTO access_block
                (number, written_from, written_until, oldest_at, closed_at, leaves, previous, hash, mac, updated_by)
            VALUES ($1, $2::text::xid8, $3::text::xid8, $4, $5, $6, $7, $8, $9, 'access-block-close')
            ON CONFLICT ON CONSTRAINT access_block_pkey DO NOTHING";
        let Block { number, from, until, oldest_at, closed_at, leaves, previous, hash, mac } = block;
        let (from, until) = (from.to_string(), until.to_string());
        let written = self
            .one_execute(
                "access-block-close",
                SQL,
                &[number, &from, &until, oldest_at, closed_at, leaves, previous, hash, mac],
            )
            .await?;
        Ok(written == 1)
    }

    /// The records of these transactions.
    async fn access_leaves(&self, act: &'static str, from: u64, until: u64) -> Result<Vec<Leaf>, StoreError> {
        const SQL: &str = "-- access-leaves
            SELECT bucket, patient_id, id, at, act, prescription_id, sealed, created_at, updated_at, updated_by,
                   written_in::text AS written_in
            FROM access_record WHERE written_in >= $1::text::xid8 AND written_in < $2::text::xid8";
        let rows = self.one(act, SQL, &[&from.to_string(), &until.to_string()]).await?;
        rows.iter().map(Leaf::read).collect()
    }

    fn access_block_mac(&self, hash: &Hash) -> Hash {
        self.lookup().hash("access-block", &[hash])
    }

    /// How many blocks there are.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_block_count(&self) -> Result<i64, StoreError> {
        const SQL: &str = "-- access-block-count
            SELECT count(*) FROM access_block";
        let row = self.one_opt("access-verify", SQL, &[]).await?;
        Ok(row.ok_or(StoreError::RowCount { rows: 0 })?.get(0))
    }

    /// Verifies every block and every record. `noted` is a head that must still be in the chain; records of blocks
    /// older than `kept` may have been deleted. Tells how many blocks it has done.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_verify(
        &self,
        noted: Option<Head>,
        kept: Option<TimeDelta>,
        now: DateTime<Utc>,
        mut progress: impl FnMut(i64),
    ) -> Result<Verified, StoreError> {
        const SQL: &str = "-- access-block-list
            SELECT number, written_from::text AS written_from, written_until::text AS written_until, oldest_at,
                   closed_at, leaves, previous, hash, mac
            FROM access_block WHERE number > $1 ORDER BY number LIMIT $2";
        let mut found = Verified::default();
        let mut noted_found = noted.is_none();
        let (mut number, mut until, mut previous) = (0, 0, vec![0; LEAF]);
        loop {
            let rows = self.one("access-verify", SQL, &[&number, &BATCH]).await?;
            for row in &rows {
                let block = Block::read(row)?;
                let hash = block.digest();
                let follows = block.number == number + 1 && block.from == until && block.previous == previous;
                if !follows || block.hash != hash {
                    found.faults.push(Fault::Block { number: block.number });
                } else if block.mac != self.access_block_mac(&hash) {
                    found.faults.push(Fault::Forged { number: block.number });
                }
                // Whoever puts in a record that says it is old lets none of its block go.
                let oldest_at = block.oldest_at.max(block.closed_at - LATE);
                let may_miss = kept.is_some_and(|kept| oldest_at + kept < now);
                self.access_block_records(&block, may_miss, &mut found).await?;
                let head = Head { number: block.number, hash };
                noted_found |= noted == Some(head);
                found.blocks += 1;
                found.head = Some(head);
                progress(found.blocks);
                (number, until, previous) = (block.number, block.until, block.hash);
            }
            if rows.is_empty() {
                break;
            }
        }
        if !noted_found {
            found.faults.push(Fault::Head);
        }
        for leaf in self.access_leaves("access-verify", until, u64::MAX >> 1).await? {
            found.open += 1;
            found.faults.extend(self.access_unsealed(&leaf));
        }
        Ok(found)
    }

    /// Whoever has no keys can put a record in before it is closed, but not seal it.
    fn access_unsealed(&self, leaf: &Leaf) -> Option<Fault> {
        let id = leaf.id;
        let opened = self.open_json::<TraceContent>("access_record", id.as_bytes(), "sealed", &leaf.sealed);
        opened.is_err().then_some(Fault::Unsealed { id })
    }

    /// Compares what is there with what a block was closed over.
    async fn access_block_records(
        &self,
        block: &Block,
        may_miss: bool,
        found: &mut Verified,
    ) -> Result<(), StoreError> {
        let number = block.number;
        let (leaves, _) = block.leaves.as_chunks::<LEAF>();
        let mut here = vec![false; leaves.len()];
        for leaf in self.access_leaves("access-verify", block.from, block.until).await? {
            match leaves.binary_search(&leaf.hash) {
                Ok(place) => {
                    here[place] = true;
                    found.faults.extend(self.access_unsealed(&leaf));
                }
                Err(_) => found.faults.push(Fault::Record { number, id: leaf.id }),
            }
        }
        found.records += here.iter().filter(|here| **here).count();
        let records = here.iter().filter(|here| !**here).count();
        if may_miss {
            found.deleted += records;
        } else if records > 0 {
            found.faults.push(Fault::Missing { number, records });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back() {
        let head = Head { number: 12, hash: [0xa5; LEAF] };
        assert_eq!(head.to_string().parse(), Ok(head));
        let digits = "0".repeat(64);
        for other in
            ["", "1", "1:", "x:00", &digits, &format!("0:{digits}"), &format!("1:{}", &digits[1..]), "1:é"]
        {
            assert_eq!(other.parse::<Head>(), Err(HeadError), "{other}");
        }
    }
}
