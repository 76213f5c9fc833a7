//! What is sent again, how long it waits for that, and what a collector that is away costs. The time is held: only
//! the waits of the delivery itself pass, however long they are.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::collector::{Collector, Reply, target};
use crate::export::{
    Batch, Counts, Headers, QUEUE, Reason,
    delivery::{Delivery, Settings, settings::Protocol},
    queue::Queue,
    tests::spans,
};

/// No time-out: held time would pass while the collector works.
fn delivery(protocol: Protocol, address: SocketAddr) -> Delivery {
    let url = format!("http://{address}");
    let variable = |name: &str| name.ends_with("_TIMEOUT").then(|| "0".to_owned());
    let settings = match protocol {
        Protocol::HttpProtobuf | Protocol::Grpc => {
            Settings::otlp(&target(protocol, url), &Headers::default(), variable)
        }
        Protocol::Zipkin => Settings::zipkin(Some(&url), &Headers::default(), variable),
    };
    Delivery::new(settings.unwrap()).unwrap()
}

fn push(queue: &Queue, count: u64) {
    queue.push(&Arc::new(Batch { offset: crate::clock::Offset::default(), spans: spans(count) }));
}

/// Delivers ten spans to a collector that replies like this. What came of them, and how long it waited.
async fn deliver(collector: &Collector, protocol: Protocol, replies: Vec<Reply>) -> (Counts, Duration) {
    collector.will_reply(replies);
    let queue = Queue::new("test".to_owned(), QUEUE);
    push(&queue, 10);
    queue.begin_shutdown();
    let begun = Instant::now();
    delivery(protocol, collector.address()).run(&queue).await;
    (queue.counts(), begun.elapsed())
}

fn http(status: u16) -> Reply {
    Reply::Http(StatusCode::from_u16(status).unwrap())
}

/// The sum of so many first waits, without jitter.
fn waits(tries: u32) -> Duration {
    (0..tries).map(|number| Duration::from_millis(200 << number)).sum()
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_sent_again_with_growing_waits_until_it_is_taken() {
    use Code::*;
    let http_codes: Vec<_> = [429, 502, 503, 504].map(http).into();
    let grpc_codes: Vec<_> =
        [Unavailable, Aborted, DeadlineExceeded, Cancelled, OutOfRange, DataLoss].map(Reply::Grpc).into();
    for (protocol, replies) in [
        (Protocol::HttpProtobuf, http_codes.clone()),
        (Protocol::Grpc, grpc_codes),
        (Protocol::Zipkin, http_codes),
    ] {
        let collector = Collector::start(protocol);
        let tries = replies.len();
        let (counts, waited) = deliver(&collector, protocol, replies).await;
        assert_eq!((counts.accepted, counts.queued, counts.dropped_total()), (10, 0, 0));
        let requests = collector.requests();
        assert_eq!(requests.len(), tries + 1);
        assert!(requests.iter().all(|request| *request == requests[0]), "the same each time");
        let longest = waits(tries as u32);
        assert!(waited >= longest / 2 && waited <= longest + Duration::from_millis(50), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_says_when_is_left_alone_until_then() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    let after =
        |status, after: &str| Reply::HttpAfter(StatusCode::from_u16(status).unwrap(), after.to_owned());
    let seven = Duration::from_secs(7);
    let table = [
        (Protocol::HttpProtobuf, after(429, "7"), 7),
        (Protocol::HttpProtobuf, after(503, "7"), 7),
        // A date has whole seconds, and the clock of the world is not held.
        (Protocol::HttpProtobuf, after(503, &date), 50),
        (Protocol::Zipkin, after(503, "7"), 7),
        (Protocol::Grpc, Reply::GrpcAfter(Code::Unavailable, seven), 7),
        (Protocol::Grpc, Reply::GrpcAfter(Code::ResourceExhausted, seven), 7),
    ];
    for (protocol, reply, seconds) in table {
        let collector = Collector::start(protocol);
        let (counts, waited) = deliver(&collector, protocol, vec![reply.clone()]).await;
        assert_eq!((counts.accepted, collector.requests().len()), (10, 2), "{reply:?}");
        let least = Duration::from_secs(seconds);
        assert!(waited >= least && waited <= least + Duration::from_secs(21), "{reply:?}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_counted_and_not_sent_again() {
    use Code::*;
    let seven = Duration::from_secs(7);
    let http_codes = [400, 401, 403, 404, 405, 413, 415, 500, 501].map(http);
    let grpc_codes = [
        Unknown,
        InvalidArgument,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Unimplemented,
        Internal,
        Unauthenticated,
    ];
    let hopeless = [InvalidArgument, Unauthenticated].map(|code| Reply::GrpcAfter(code, seven));
    let grpc_replies: Vec<_> = grpc_codes.map(Reply::Grpc).into_iter().chain(hopeless).collect();
    for (protocol, replies) in [
        (Protocol::HttpProtobuf, http_codes.to_vec()),
        (Protocol::Zipkin, http_codes.to_vec()),
        (Protocol::Grpc, grpc_replies),
    ] {
        for reply in replies {
            let collector = Collector::start(protocol);
            let (counts, _) = deliver(&collector, protocol, vec![reply.clone()]).await;
            assert_eq!((counts.accepted, counts.queued), (0, 0), "{reply:?}");
            assert_eq!((counts.dropped(Reason::Refused), counts.dropped_total()), (10, 10), "{reply:?}");
            assert_eq!(collector.requests().len(), 1, "{reply:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_for_a_minute_costs_what_does_not_fit_and_no_more() {
    const A_SECOND: u64 = 500;
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc, Protocol::Zipkin] {
        for (seconds, fits) in [(60, false), (30, true)] {
            // Nobody listens there, until somebody does.
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let queue = Queue::new("test".to_owned(), QUEUE);
            let away = async {
                for _ in 0..seconds {
                    push(&queue, A_SECOND);
                    let counts = queue.counts();
                    assert!(counts.queued <= QUEUE.spans as u64, "{counts:?}");
                    assert_eq!(counts.handed_in, counts.queued + counts.dropped_total(), "{counts:?}");
                    sleep(Duration::from_secs(1)).await;
                }
                let collector = Collector::start_at(protocol, address, None);
                queue.begin_shutdown();
                collector
            };
            let ((), collector) = tokio::join!(delivery(protocol, address).run(&queue), away);
            let counts = queue.counts();
            let handed_in = seconds * A_SECOND;
            let kept = if fits { handed_in } else { QUEUE.spans as u64 };
            assert_eq!((counts.handed_in, counts.queued, counts.accepted), (handed_in, 0, kept));
            assert_eq!(counts.dropped(Reason::QueueFull), handed_in - kept);
            let arrived = match protocol {
                Protocol::HttpProtobuf | Protocol::Grpc => collector.spans(),
                Protocol::Zipkin => {
                    collector.zipkin().iter().map(|request| request.as_array().unwrap().len()).sum()
                }
            };
            assert_eq!(arrived as u64, kept);
        }
    }
}
