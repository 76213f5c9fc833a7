use super::*;

fn policy(name: &str, argument: Option<&str>) -> Policy {
    Policy { sampler: Sampler::parse(name, argument).unwrap(), ..Policy::default() }
}

fn tenth() -> Policy {
    policy("parentbased_traceidratio", Some("0.1"))
}

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A request from elsewhere, through three processes, in which the second makes two calls. Eight exchanges.
fn chain(world: &mut World, from: Key<Socket>, hops: [Both; 3], fields: &[(&str, &str)]) {
    let tasks = [task(10, 10), task(20, 20), task(30, 30), task(40, 40)];
    let first = world.request(from, Side::Server, tasks[0], fields);
    let call = world.send(hops[0].client, tasks[0]);
    let second = world.read(hops[0].server, tasks[1]);
    for (hop, task) in [(hops[1], tasks[2]), (hops[2], tasks[3])] {
        let call = world.send(hop.client, tasks[1]);
        let served = world.read(hop.server, task);
        world.answer(served, task);
        world.answer(call, tasks[1]);
    }
    world.answer(second, tasks[1]);
    world.answer(call, tasks[0]);
    world.answer(first, tasks[0]);
}

#[test]
fn of_ten_thousand_traces_about_a_tenth_is_kept_and_none_is_partial() {
    let mut world = World::governed(tenth());
    let (from, hops) = (world.elsewhere(), [world.connect(), world.connect(), world.connect()]);
    let mut sizes: HashMap<_, u32> = HashMap::new();
    for _ in 0..10_000 {
        chain(&mut world, from, hops, &[]);
        world.wait(limit::PEER_WAIT);
        for span in world.spans() {
            *sizes.entry(span.trace_id).or_default() += 1;
            assert_eq!(span.trace_flags, 3);
            assert_eq!(span.trace_state.as_deref(), Some("ot=th:e666"));
        }
    }
    for span in world.all() {
        *sizes.entry(span.trace_id).or_default() += 1;
    }
    assert!((900..1100).contains(&sizes.len()), "{}", sizes.len());
    assert!(sizes.values().all(|size| *size == 7));
    let accounting = world.correlator.accounting;
    assert_eq!(accounting.spans, 7 * sizes.len() as u64);
    assert_eq!(accounting.sampled_out, 70_000 - accounting.spans);
    assert_eq!(world.counted(Counter::SampledOut), accounting.sampled_out);
}

#[test]
fn a_header_decides_for_a_parent_based_sampler() {
    for (header, expected) in [(TRACEPARENT, 7), (UNSAMPLED, 0)] {
        let mut world = World::governed(policy("parentbased_always_off", None));
        let (from, hops) = (world.elsewhere(), [world.connect(), world.connect(), world.connect()]);
        chain(&mut world, from, hops, &[("traceparent", header), ("tracestate", "a=1")]);
        let spans = world.all();
        assert_eq!(spans.len(), expected);
        assert!(spans.iter().all(|span| span.trace_flags & 1 == 1));
        assert!(spans.iter().all(|span| span.trace_state.as_deref() == Some("a=1")));
        assert_eq!(world.correlator.accounting.sampled_out, 7 - expected as u64);
    }
}

#[test]
fn a_sampler_that_is_not_parent_based_decides_itself_and_the_flag_says_so() {
    let mut world = World::governed(policy("always_on", None));
    let from = world.elsewhere();
    let read = world.request(from, Side::Server, task(10, 10), &[("traceparent", UNSAMPLED)]);
    world.answer(read, task(10, 10));
    let spans = world.all();
    assert_eq!((spans[0].trace_id.0, spans[0].trace_flags), (TRACE, 1));
    let mut world = World::governed(policy("always_off", None));
    let from = world.elsewhere();
    let read = world.request(from, Side::Server, task(10, 10), &[("traceparent", TRACEPARENT)]);
    world.answer(read, task(10, 10));
    assert_eq!(world.all(), []);
}

#[test]
fn an_undecided_header_is_decided_like_a_root_by_its_trace_id_so_that_agents_agree() {
    for (name, value, kept) in [
        ("b3", "000000000000000000ffffffffffffff-00000000000000aa", true),
        ("b3", "00000000000000000000000000000001-00000000000000aa", false),
        ("x-amzn-trace-id", "Root=1-00000000-0000000000ffffffffffffff;Sampled=?", true),
        ("x-amzn-trace-id", "Root=1-00000000-000000000000000000000001;Sampled=?", false),
        ("x-amzn-trace-id", "Root=1-00000000-000000000000000000000001;Sampled=1", true),
        ("x-datadog-trace-id", "18446744073709551615", true),
        ("x-datadog-trace-id", "1", false),
    ] {
        for _agent in 0..2 {
            let mut world = World::governed(tenth());
            let from = world.elsewhere();
            let read = world.request(from, Side::Server, task(10, 10), &[(name, value)]);
            world.answer(read, task(10, 10));
            assert_eq!(world.all().len(), usize::from(kept), "{name}: {value}");
        }
    }
}

#[test]
fn a_header_without_ids_decides_about_the_new_trace() {
    let mut world = World::governed(policy("parentbased_traceidratio", Some("1")));
    let from = world.elsewhere();
    for decision in ["0", "1"] {
        let read = world.request(from, Side::Server, task(10, 10), &[("b3", decision)]);
        world.answer(read, task(10, 10));
    }
    assert_eq!(world.all().len(), 1);
    assert_eq!(world.correlator.accounting.sampled_out, 1);
}

#[test]
fn a_process_below_one_with_another_sampler_has_the_decision_of_that_one() {
    for (above, below, expected) in [("always_on", "always_off", 7), ("always_off", "always_on", 0)] {
        let mut world = World::governed(policy(above, None));
        for tgid in [20, 30] {
            world.correlator.policies.set(tgid, Some(Arc::new(policy(below, None))));
        }
        let (from, hops) = (world.elsewhere(), [world.connect(), world.connect(), world.connect()]);
        chain(&mut world, from, hops, &[]);
        assert_eq!(world.all().len(), expected);
    }
}

#[test]
fn a_header_that_is_forwarded_has_the_decision_of_the_request_it_came_with() {
    let mut world = World::governed(policy("always_off", None));
    world.correlator.policies.set(20, Some(Arc::new(Policy::default())));
    let header = [("traceparent", TRACEPARENT)];
    let (hop, next) = (world.connect(), world.connect());
    let (a, b, c) = (task(10, 10), task(20, 20), task(30, 30));
    let sent = world.request(hop.client, Side::Client, a, &header);
    let read = world.request(hop.server, Side::Server, b, &header);
    let forwarded = world.request(next.client, Side::Client, b, &header);
    let last = world.request(next.server, Side::Server, c, &header);
    for (at, task) in [(last, c), (forwarded, b), (read, b), (sent, a)] {
        world.answer(at, task);
    }
    assert_eq!(world.all(), []);
    assert_eq!(world.correlator.accounting.sampled_out, 4);
}

#[test]
fn nothing_is_linked_to_a_request_that_is_not_exported() {
    let mut world = World::governed(policy("parentbased_always_on", None));
    let (from, hop) = (world.elsewhere(), world.connect());
    let one = task(10, 10);
    let read = world.request(from, Side::Server, one, &[("traceparent", UNSAMPLED)]);
    world.answer(read, one);
    world.wait(limit::PEER_WAIT);
    let late = world.send(hop.client, one);
    world.answer(late, one);
    let spans = world.all();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].links, []);
}
