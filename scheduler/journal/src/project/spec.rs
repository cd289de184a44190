//! What a submission said, as accounting tells it.

use super::rows::{SpecRow, Streams};
use crate::project::Writer;
use crate::seal::Seal;
use crate::{JournalError, table};
use rusqlite::params;
use squall_core::views::{DEFAULT_QOS, Size};
use squall_types::{BlobDigest, JobKind, JobSpec};

/// A row of `specs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SpecId(pub i64);

impl SpecRow {
    pub fn of(spec: &JobSpec) -> SpecRow {
        let size = Size::asked(&spec.ask, None);
        SpecRow {
            name: spec.name.clone(),
            uid: spec.uid,
            gid: spec.gid,
            user: spec.user.clone(),
            account: spec.account.clone(),
            partitions: spec.partitions.clone(),
            qos: spec.qos.as_ref().map_or_else(|| DEFAULT_QOS.to_owned(), |qos| qos.0.clone()),
            time_limit: spec.time_limit,
            nodes: size.nodes,
            cpus: size.cpus,
            tasks: size.tasks,
            memory_mib: size.memory_mib / u64::from(size.nodes.max(1)),
            gpus: size.gpus,
            req_tres: size.tres(spec.ask.gpus.model()),
            work_dir: spec.work_dir.clone(),
            submit_line: spec.submit_line.clone(),
            comment: spec.comment.clone(),
            wckey: spec.wckey.clone(),
            constraint: spec.constraint.as_ref().map(ToString::to_string).unwrap_or_default(),
            priority: spec.priority.unwrap_or_default(),
            array_limit: spec.array.as_ref().and_then(|array| array.limit),
            script: spec.script,
            environment: spec.environment,
            streams: (spec.kind == JobKind::Batch).then(|| Streams {
                stdin: spec.stdin.clone(),
                stdout: spec.stdout.clone(),
                stderr: spec.stderr.clone(),
            }),
        }
    }

    fn blobs(&self) -> impl Iterator<Item = BlobDigest> {
        self.script.into_iter().chain(self.environment)
    }
}

impl Writer<'_> {
    /// Stores what a submission said, for one row that refers to it.
    pub(super) fn add_spec(&mut self, spec: &JobSpec) -> Result<SpecId, JournalError> {
        let row = SpecRow::of(spec);
        row.blobs().for_each(|digest| self.name_blob(digest));
        let body = table::encode(&row);
        let insert = || {
            let sql = "INSERT INTO specs (refs, body, sum) VALUES (1, ?1, ?2)";
            self.db.prepare_cached(sql)?.execute(params![body, seal(&body)])?;
            Ok(SpecId(self.db.last_insert_rowid()))
        };
        insert().map_err(self.failed("storing a spec"))
    }

    /// Counts the rows that refer to it. With the last one it goes, and its blobs with it.
    pub(super) fn count_spec(&mut self, id: SpecId, more: i64) -> Result<(), JournalError> {
        let count = || {
            let sql = "UPDATE specs SET refs = refs + ?2 WHERE id = ?1";
            self.db.prepare_cached(sql)?.execute([id.0, more])?;
            if more >= 0 {
                return Ok(false);
            }
            let mut unused = self.db.prepare_cached("SELECT count(*) FROM specs WHERE id = ?1 AND refs <= 0")?;
            unused.query_row([id.0], |row| Ok(row.get::<_, i64>(0)? > 0))
        };
        if !count().map_err(self.failed("counting a spec"))? {
            return Ok(());
        }
        let row = load(self.db, self.path, id)?;
        row.blobs().for_each(|digest| self.unname_blob(digest));
        let delete = || self.db.prepare_cached("DELETE FROM specs WHERE id = ?1")?.execute([id.0]);
        delete().map(|_| ()).map_err(self.failed("dropping a spec"))
    }
}

/// Reads what a submission said.
pub(crate) fn load(
    connection: &rusqlite::Connection,
    path: &std::path::Path,
    id: SpecId,
) -> Result<SpecRow, JournalError> {
    let read = || {
        let mut statement = connection.prepare_cached("SELECT body, sum FROM specs WHERE id = ?1")?;
        statement.query_row([id.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))
    };
    let wrong = || JournalError::damaged(path, format!("row {} of specs is not what was written", id.0));
    match read() {
        Ok((body, sum)) if sum == i64::from(seal(&body)) => table::decode(&body).ok_or_else(wrong),
        Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => Err(wrong()),
        Err(error) => Err(JournalError::sql("reading a spec", path)(error)),
    }
}

/// Not over its number: rows of equal content may stand for each other.
fn seal(body: &[u8]) -> u32 {
    Seal::of("specs").bytes(body).end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::{Ask, CpuAsk, GpuAsk, MemoryAsk, NodeCount};

    #[test]
    fn what_was_asked_is_told_as_slurm_tells_it() {
        let ask = Ask {
            nodes: Some(NodeCount { min: 2, max: 2 }),
            gpus: GpuAsk::PerNode(8, Some("h100".into())),
            cpus: CpuAsk::PerGpu(4),
            memory: MemoryAsk::PerNode(512 << 10),
            ..Ask::default()
        };
        let row = SpecRow::of(&JobSpec { ask, ..JobSpec::default() });
        assert_eq!(row.req_tres, "cpu=64,mem=1T,node=2,billing=64,gres/gpu=16,gres/gpu:h100=16");
        assert_eq!((row.nodes, row.tasks, row.cpus, row.gpus, row.memory_mib), (2, 2, 64, 16, 512 << 10));
    }
}
