//! Processes that were seen to send traces themselves: what the log, the status file and `doctor` say of them.

use engine::policy::Instrumented;
use serde::{Deserialize, Serialize};

use super::Processes;

/// A program that was seen to send traces itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    pub pid: u32,
    /// Its path.
    pub executable: String,
}

impl Processes {
    /// A process was seen to send OTLP traces, and its own spans are treated so.
    pub fn on_instrumented(&mut self, tgid: u32, treated: Instrumented) {
        let Some(run) = self.table.get_mut(tgid).and_then(|entry| entry.images.last_mut()) else { return };
        run.instrumented = true;
        let path = &*run.image.path;
        match treated {
            Instrumented::Skip => tracing::info!(
                pid = tgid,
                path,
                "a program sends traces itself: from now on its spans are left to it (`instrumented: skip`)"
            ),
            Instrumented::Both => tracing::info!(
                pid = tgid,
                path,
                "a program sends traces itself: its requests have spans of both (`instrumented: both`)"
            ),
        }
    }

    /// The programs that run now and were seen to send OTLP traces.
    pub fn instrumented(&self) -> impl Iterator<Item = Seen> {
        let entries = self.table.entries.iter().filter(|(_, entry)| entry.is_live());
        entries.filter_map(|(&pid, entry)| {
            let run = entry.images.last().filter(|run| run.instrumented)?;
            Some(Seen { pid, executable: run.image.path.to_string() })
        })
    }
}
