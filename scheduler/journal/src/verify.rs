//! A full check that changes nothing: every checksum, every index, every record, and whether the snapshots are what
//! the records make.

use crate::error::RESTORE;
use crate::mark::{Found, Mark};
use crate::meta::Head;
use crate::options::StorageKind;
use crate::project::{self, StoredCharge, StoredJob, select_jobs};
use crate::schema::{self, Location, Thoroughness, WAL_FILE};
use crate::{JournalError, Position, arrears, blobs, records, recover, snapshot, wal};
use rusqlite::{Connection, Row};
use squall_core::Cluster;
use squall_types::ids::Run;
use squall_types::{Attempt, BlobDigest, JobId, NodeId, OrderId, Seq, StepId};
use std::path::Path;

/// Problems that a report lists at most.
const MAX_PROBLEMS: usize = 100;

/// What a full check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Everything that is wrong, for people; empty where nothing is.
    pub problems: Vec<String>,
    /// Records that are there, and the last one.
    pub records: u64,
    pub last: Seq,
    pub snapshots: u64,
    /// Rows of accounting.
    pub rows: u64,
    pub blobs: u64,
    /// The hash of the state that the records lead to, where they do.
    pub state: Option<u64>,
}

impl Verified {
    fn note(&mut self, problem: impl ToString) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem.to_string());
        }
    }

    fn expect<R>(&mut self, result: Result<R, JournalError>) -> Option<R> {
        result.map_err(|error| self.note(without_advice(&error))).ok()
    }
}

/// The advice is the same for every problem of a list.
fn without_advice(error: &JournalError) -> String {
    error.to_string().replace(&format!("; {RESTORE}"), "")
}

/// Checks the state in `dir` from end to end, read-only, also while a controller works on it.
///
/// # Errors
/// Where the database cannot be opened at all. What is wrong inside is in the report.
pub fn verify(dir: impl AsRef<Path>) -> Result<Verified, JournalError> {
    let location = Location { dir: dir.as_ref().to_owned(), storage: StorageKind::Files };
    let db = location.db();
    let mut report = Verified::default();
    // A log that is being written can look torn; its end is then checked by the mark.
    report.expect(wal::check(&location.dir.join(WAL_FILE)));
    // Read before the database: it may only lag behind.
    let mark = report.expect(Mark::read(&location.dir));
    let connection = location.reader()?;
    let moment = connection.unchecked_transaction().map_err(JournalError::sql("beginning to read", &db))?;
    if !schema::has_tables(&moment, &db)? {
        report.note(format!("{} is empty", db.display()));
        return Ok(report);
    }
    let wrong = schema::check(&moment, Thoroughness::Full).map_err(JournalError::sql("checking the database", &db));
    report.expect(wrong).into_iter().flatten().for_each(|line| report.note(format!("{}: {line}", db.display())));
    if let Some(head) = report.expect(Head::load(&moment, &db)) {
        log(&mut report, &moment, &location, &head, mark);
        report.expect(project::load_totals(&moment, &db));
        match report.expect(arrears::load(&moment, &db)) {
            Some(accounted) if accounted > report.last => {
                report.note(format!("accounting ends at record {accounted}, the log at {}", report.last));
            }
            _ => {}
        }
    }
    accounting(&mut report, &moment, &db);
    contents(&mut report, &moment, &db);
    Ok(report)
}

/// Records and snapshots, each against the others.
fn log(report: &mut Verified, moment: &Connection, location: &Location, head: &Head, mark: Option<Found>) {
    let db = location.db();
    let mut snapshots = Vec::new();
    for file in report.expect(snapshot::list(&location.dir)).unwrap_or_default().into_iter().rev() {
        report.snapshots += 1;
        snapshots
            .extend(report.expect(snapshot::read(&file)).map(|(position, cluster)| (file.path, position, cluster)));
    }
    let mut state = (head.pruned == Position::START).then(Cluster::new);
    let mut waiting = snapshots.into_iter().peekable();
    // A snapshot at the place where the records begin is believed, every later one compared with what they lead to.
    let mut meet = |report: &mut Verified, at: Position, state: &mut Option<Cluster>| {
        while let Some((path, position, cluster)) = waiting.next_if(|(_, position, _)| position.seq <= at.seq) {
            match state {
                _ if position.seq < at.seq => report.note(format!("{}: its records were pruned", path.display())),
                _ if position != at => report.note(format!("{} belongs to another log", path.display())),
                Some(state) if state.hash() != cluster.hash() => {
                    report.note(format!("{} is not the state that the records lead to", path.display()));
                }
                Some(_) => {}
                None => *state = Some(cluster),
            }
        }
    };
    meet(report, head.pruned, &mut state);
    let walked = records::walk(moment, &db, head.pruned, u64::MAX, |record, event| {
        report.records += 1;
        if let Some(state) = &mut state {
            state.apply(&event);
        }
        meet(report, record.position(), &mut state);
        Ok(())
    });
    let Some(last) = report.expect(walked) else { return };
    report.last = last.seq;
    for (path, position, _) in waiting {
        report.note(format!("{} stands at record {}, the log ends at {}", path.display(), position.seq, last.seq));
    }
    if state.is_none() {
        report.note(format!("no snapshot stands where the records of {} begin", db.display()));
    }
    report.state = state.map(|state| state.hash());
    if let Some(Found::Mark(mark)) = mark
        && (mark.seq > last.seq || mark.epoch > head.epoch)
    {
        report.note(recover::lost(location, (last.seq, head.epoch), (mark.seq, mark.epoch)));
    }
}

/// Every row of accounting against its checksum.
fn accounting(report: &mut Verified, moment: &Connection, db: &Path) {
    each(report, moment, db, select_jobs!(""), |row| Ok(StoredJob::read(row)?.open(db).map(|job| job.spec).err()));
    each(report, moment, db, "SELECT id FROM specs", |row| {
        Ok(project::load_spec(moment, db, project::SpecId(row.get(0)?)).err())
    });
    each(report, moment, db, "SELECT j.key FROM jobs j LEFT JOIN specs s ON s.id = j.spec WHERE s.id IS NULL", |row| {
        let key: i64 = row.get(0)?;
        Ok(Some(JournalError::damaged(db, format!("row {key} of jobs has no spec"))))
    });
    each(report, moment, db, "SELECT sum, body, job, attempt FROM attempts", |row| {
        let run = Run { job: JobId(row.get(2)?), attempt: Attempt(row.get(3)?) };
        sealed(row, "attempts", db, |body| project::seal_attempt(run, body))
    });
    each(report, moment, db, "SELECT sum, body, job, attempt, step FROM steps", |row| {
        let run = Run { job: JobId(row.get(2)?), attempt: Attempt(row.get(3)?) };
        let step = StepId(row.get(4)?);
        sealed(row, "steps", db, |body| project::seal_step(run, step, body))
    });
    each(report, moment, db, "SELECT sum, body, node, gone_at FROM nodes", |row| {
        let (node, gone_at) = (NodeId(row.get::<_, i64>(2)? as u64), row.get(3)?);
        sealed(row, "nodes", db, |body| project::seal_node(node, gone_at, body))
    });
    each(report, moment, db, "SELECT sum, body, order_id, placed_at FROM orders", |row| {
        let (order, placed_at) = (OrderId(row.get::<_, i64>(2)? as u64), row.get(3)?);
        sealed(row, "orders", db, |body| project::seal_order(order, placed_at, body))
    });
    each(report, moment, db, "SELECT job, seq, part, node, kind, amount, sum FROM charges", |row| {
        let (job, seq, part) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let charge = StoredCharge { job, seq, part, node: row.get(3)?, kind: row.get(4)?, amount: row.get(5)? };
        let honest = row.get::<_, i64>(6)? == i64::from(charge.seal());
        Ok((!honest).then(|| JournalError::damaged(db, format!("a charge of job {job} is not what was written"))))
    });
}

/// Scripts and environments against their digests.
fn contents(report: &mut Verified, moment: &Connection, db: &Path) {
    let before = report.rows;
    each(report, moment, db, "SELECT digest FROM blobs", |row| {
        let digest = row.get::<_, Vec<u8>>(0)?;
        Ok(match digest.try_into() {
            Ok(digest) => blobs::read(moment, db, BlobDigest(digest)).err(),
            Err(_) => Some(JournalError::damaged(db, "a digest of a blob has not 32 bytes")),
        })
    });
    report.blobs = report.rows - before;
    report.rows = before;
}

fn sealed(
    row: &Row<'_>,
    table: &str,
    db: &Path,
    seal: impl FnOnce(&[u8]) -> u32,
) -> rusqlite::Result<Option<JournalError>> {
    let (sum, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
    let key: i64 = row.get(2)?;
    let honest = sum == i64::from(seal(&body));
    Ok((!honest).then(|| JournalError::damaged(db, format!("row {key} of {table} is not what was written"))))
}

fn each(
    report: &mut Verified,
    moment: &Connection,
    db: &Path,
    sql: &'static str,
    mut look: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<JournalError>>,
) {
    let walked = (|| -> rusqlite::Result<()> {
        let mut statement = moment.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            report.rows += 1;
            if let Some(problem) = look(row)? {
                report.note(without_advice(&problem));
            }
        }
        Ok(())
    })();
    report.expect(walked.map_err(JournalError::sql("reading rows", db)));
}
