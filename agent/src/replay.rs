//! Replay: a recording becomes the spans that it became when it was made.

use std::{collections::HashMap, io::BufRead, sync::Arc};

use engine::{Engine, event::Time, policy::Policy, protocol::Unseen};

use crate::{
    export::{ExportSet, Exported},
    process::Resource,
    recording::{Frame, ReadError, Reader},
};

/// Resources by process, each with the span start that it was first used for.
#[derive(Default)]
struct Resources {
    known: HashMap<u32, Vec<(Time, Arc<Resource>)>>,
    unknown: Arc<Resource>,
}

impl Resources {
    fn at(&self, tgid: u32, time: Time) -> Arc<Resource> {
        let list = self.known.get(&tgid).map_or(&[][..], Vec::as_slice);
        // The first one is for what came earlier too: spans do not end in the order of their starts.
        let found = list.iter().rev().find(|(since, _)| *since <= time).or(list.first());
        found.map_or_else(|| Arc::clone(&self.unknown), |(_, resource)| Arc::clone(resource))
    }
}

/// Gives a recording to an engine, under one policy for all processes, and every span to `take`, with the Resource that it had.
///
/// Frames before an error count: what a cut recording holds is replayed, then the error is returned.
pub fn replay<R: BufRead>(
    recording: Reader<R>,
    config: engine::Config,
    policy: Arc<Policy>,
    mut take: impl FnMut(Vec<Exported>),
) -> Result<(Engine, Option<ReadError>), ReadError> {
    let header = recording.header();
    let mut engine = Engine::new(engine::Config { seed: header.seed(), own_tgid: header.own_tgid, ..config });
    engine.set_default_policy(policy);
    let mut resources = Resources::default();
    let mut now = 0;
    let mut failure = None;
    // A Resource stands behind the record that made its first span: spans are held back until the next tick.
    let mut spans = Vec::new();
    let mut release = |spans: &mut Vec<engine::span::Span>, resources: &Resources| {
        let exported = spans.drain(..).map(|span| {
            let resource = resources.at(span.tgid, span.start);
            Exported { span, resource, to: ExportSet::default() }
        });
        take(exported.collect());
    };
    for frame in recording {
        match frame {
            Ok(Frame::Tick(time)) => {
                release(&mut spans, &resources);
                now = time;
                engine.handle_timeout(now);
            }
            Ok(Frame::Record(record)) => engine.handle_record(&record, now),
            Ok(Frame::NotTasks(tgid)) => engine.thread_is_not_task(tgid),
            Ok(Frame::Resource(resource)) => {
                let (tgid, since) = (resource.tgid, resource.since);
                resources.known.entry(tgid).or_default().push((since, Arc::new(resource.restore())));
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        while let Some(span) = engine.poll_span() {
            spans.push(span);
        }
        while engine.poll_order().is_some() {}
    }
    engine.finish(Unseen::AgentStopped, now);
    while let Some(span) = engine.poll_span() {
        spans.push(span);
    }
    release(&mut spans, &resources);
    Ok((engine, failure))
}
