use super::*;
use crate::{
    policy::{
        Ignore, Instrumented,
        ignore::{Rule, Status},
    },
    protocol::Unseen,
};

/// xorshift64*: enough to choose what happens next.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// `SEED` repeats a run.
fn seed() -> u64 {
    option_env!("SEED").and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed)
}

const FIELDS: [&[(&str, &str)]; 6] = [
    &[],
    &[("traceparent", TRACEPARENT)],
    &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000aa-00")],
    &[("traceparent", "?"), ("b3", "0")],
    &[("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00000000000000bb"), ("user-agent", "a")],
    &[("user-agent", "a")],
];

/// What an operator may want of a process.
fn policy(random: &mut Random) -> Policy {
    let rules = vec![
        Rule { path: Some("/ignored".parse().unwrap()), ..Rule::default() },
        Rule { status: Some(Status::Code(200)), user_agent: Some("a".parse().unwrap()), ..Rule::default() },
        Rule { port: Some(random.one(&[80, 81])), method: Some("GET".into()), ..Rule::default() },
    ];
    let samplers = ["parentbased_always_on", "always_on", "always_off", "parentbased_traceidratio"];
    Policy {
        sampler: Sampler::parse(random.one(&samplers), Some("0.5")).unwrap(),
        ignore: if random.below(2) == 0 { Ignore::new(rules).unwrap() } else { Ignore::default() },
        instrumented: random.one(&[Instrumented::Skip, Instrumented::Both]),
        ..Policy::default()
    }
}

/// Does anything a protocol may do, and checks the equation after each step.
fn run(seed: u64, steps: usize) -> World {
    eprintln!("seed {seed}");
    let mut random = Random(seed);
    let mut world = World::governed(policy(&mut random));
    world.correlator.policies.set(20, Some(Arc::new(policy(&mut random))));
    let connections: Vec<_> = (0..6).map(|_| world.connect()).collect();
    let tasks: Vec<_> = (0..8).map(|id| task(10 * (id % 3 + 1), u64::from(id))).collect();
    let mut open: Vec<At> = Vec::new();
    for _ in 0..steps {
        let one = random.one(&tasks);
        match random.below(12) {
            0..=3 => {
                let both = random.one(&connections);
                let (socket, side) = random.one(&[(both.client, Side::Client), (both.server, Side::Server)]);
                open.push(world.start(socket, side, one));
            }
            4..=5 if !open.is_empty() => {
                let target = random.one(&["/", "/", "/ignored", "/v1/traces"]);
                let (method, fields) = (random.one(&["GET", "POST"]), random.one(&FIELDS));
                world.head(random.one(&open), one, method, target, fields);
            }
            6..=8 if !open.is_empty() => {
                let at = open.swap_remove(random.below(open.len()));
                world.answer(at, one);
            }
            9 if !open.is_empty() => {
                let at = open.swap_remove(random.below(open.len()));
                match random.below(4) {
                    0 => world.watch(at.socket, |out| out.retracted(at.number)),
                    1 => world.end(at, Ending::Gap),
                    2 => world.end(at, Ending::Unseen(Unseen::Swept)),
                    _ => world.end(at, Ending::Failed(104)),
                }
            }
            10 => {
                let time = random.one(&[1, limit::PEER_WAIT, limit::OWNER_WAIT / 3]);
                world.wait(time);
            }
            11 => match random.below(4) {
                0 => drop(world.spans()),
                3 => {
                    let policy = Some(Arc::new(policy(&mut random)));
                    world.correlator.policies.set(10, policy.filter(|_| random.below(2) == 0));
                }
                1 => world.correlator.process_changed(one.tgid),
                _ => world.correlator.unseen_request(one),
            },
            _ => {}
        }
    }
    world
}

#[test]
fn every_exchange_is_accounted_for_at_every_moment_whatever_happens() {
    let seed = seed();
    for round in 0..200 {
        let mut world = run(seed + round, 300);
        let accounting = world.correlator.accounting;
        let counted = |counter| world.correlator.counters.value(counter);
        assert_eq!(accounting.seen, counted(Counter::ExchangesSeen));
        assert_eq!(accounting.excluded, counted(Counter::Excluded));
        assert_eq!(accounting.ignored, counted(Counter::Ignored));
        assert_eq!(accounting.instrumented, counted(Counter::Instrumented));
        assert_eq!(accounting.sampled_out, counted(Counter::SampledOut));
        assert_eq!(accounting.retracted, counted(Counter::ExchangesRetracted));
        // Nothing is left once everything has ended and waited.
        let sockets: Vec<_> = world.correlator.sockets.keys().collect();
        for socket in &sockets {
            let open: Vec<_> = world
                .correlator
                .sockets
                .get(*socket)
                .unwrap()
                .open
                .iter()
                .map(|(number, _)| *number)
                .collect();
            let now = world.now;
            for number in open {
                world.watch(*socket, |out| out.ended(number, Ending::Unseen(Unseen::AgentStopped), now));
            }
            world.correlator.closed(*socket, now, now);
        }
        world.correlator.finish(world.now);
        world.all();
        let accounting = world.correlator.accounting;
        assert_eq!((accounting.open, accounting.waiting), (0, 0));
        assert_eq!(world.correlator.exchanges.len(), 0);
        assert_eq!(world.correlator.sockets.len(), 0);
        assert_eq!((world.correlator.kept_text, world.correlator.carriers.len()), (0, 0));
        assert_eq!(world.correlator.next_deadline(), None);
    }
}

#[test]
fn a_parent_on_this_host_starts_first_and_is_of_the_same_trace() {
    let seed = seed();
    for round in 0..100 {
        let mut world = run(seed + 1000 + round, 300);
        world.correlator.finish(world.now);
        let spans = world.spans();
        let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id, span)).collect();
        for span in &spans {
            if let Some(parent) = span.parent.and_then(|parent| by_id.get(&parent.span_id)) {
                assert_eq!(span.trace_id, parent.trace_id);
            }
            // No cycle: going up ends.
            let (mut at, mut steps) = (span, 0);
            while let Some(parent) = at.parent.and_then(|parent| by_id.get(&parent.span_id)) {
                at = parent;
                steps += 1;
                assert!(steps <= spans.len());
            }
            assert!(span.start <= span.end);
        }
    }
}

#[test]
fn the_same_calls_give_the_same_spans() {
    let spans = |seed| run(seed, 500).all();
    assert_eq!(spans(42), spans(42));
}

#[test]
fn stopping_gives_out_what_is_open_and_says_so() {
    let mut world = World::new();
    let both = world.connect();
    let sent = world.send(both.client, task(10, 10));
    let read = world.read(both.server, task(20, 20));
    for at in [sent, read] {
        world.end(at, Ending::Unseen(Unseen::AgentStopped));
    }
    world.correlator.finish(world.now);
    let spans = world.spans();
    assert_eq!(spans.len(), 2);
    is_child(the(&spans, Kind::Server, 20), the(&spans, Kind::Client, 10), LinkMethod::Connection);
}

#[test]
fn an_exchange_of_an_unknown_connection_is_dropped_and_counted() {
    let mut world = World::new();
    let both = world.connect();
    world.correlator.closed(both.client, world.now, world.now);
    world.wait(limit::LINGER);
    let at = world.send(both.client, task(10, 10));
    world.answer(at, task(10, 10));
    assert_eq!(world.all(), []);
    assert_eq!(world.counted(Counter::ExchangesEvicted), 1);
}
