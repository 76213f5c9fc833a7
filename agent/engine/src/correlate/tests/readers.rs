use super::*;

const T: Task = Task { tgid: 30, id: 31 };

#[track_caller]
fn clients(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == Kind::Client).collect()
}

#[track_caller]
fn servers(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == Kind::Server).collect()
}

/// Every client span is a root without links.
#[track_caller]
fn unlinked(spans: &[Span]) {
    assert!(!clients(spans).is_empty());
    for client in clients(spans) {
        is_root(client);
        assert_eq!(client.links, []);
    }
}

#[test]
fn the_task_that_read_a_request_owns_its_calls() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    for _ in 0..3 {
        let read = world.read(up, T);
        for _ in 0..2 {
            let sent = world.send(down, T);
            world.answer(sent, T);
        }
        assert_eq!(world.spans(), [], "a call waits for its owner's end");
        world.answer(read, T);
        let spans = world.all();
        for client in clients(&spans) {
            is_child(client, servers(&spans)[0], LinkMethod::Reader);
        }
        assert_eq!(spans.len(), 3);
    }
    assert_eq!(world.counted(Counter::WaitsExpired), 0);
}

#[test]
fn threads_with_a_request_each_are_told_apart() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let reads: Vec<_> = (0..50).map(|id| (task(30, id), world.read(up, task(30, id)))).collect();
    let sent: Vec<_> = reads.iter().rev().map(|(task, _)| (*task, world.send(down, *task))).collect();
    for (task, at) in sent.into_iter().chain(reads) {
        world.answer(at, task);
    }
    let spans = world.all();
    let (servers, mut clients) = (servers(&spans), clients(&spans));
    clients.sort_by_key(|span| core::cmp::Reverse(span.start));
    let mut servers = servers;
    servers.sort_by_key(|span| span.start);
    assert_eq!(clients.len(), 50);
    for (client, server) in clients.iter().zip(servers) {
        is_child(client, server, LinkMethod::Reader);
    }
}

#[test]
fn another_task_owns_nothing() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    let sent = world.send(down, task(30, 99));
    world.answer(sent, task(30, 99));
    assert_eq!(world.spans().len(), 1, "nothing is waited for");
    let sent = world.send(down, task(99, 31));
    world.answer(sent, task(99, 31));
    world.answer(read, T);
    unlinked(&world.all());
}

#[test]
fn a_task_that_reads_another_request_while_one_is_unanswered_loses_held_and_later_calls() {
    let mut world = World::new();
    let (one, two, down) = (world.elsewhere(), world.elsewhere(), world.elsewhere());
    let first = world.read(one, T);
    let held = world.send(down, T);
    world.answer(held, T);
    let second = world.read(two, T);
    let during = world.send(down, T);
    world.answer(during, T);
    world.answer(first, T);
    world.answer(second, T);
    unlinked(&world.all());
    let third = world.read(one, T);
    let later = world.send(down, T);
    world.answer(later, T);
    world.answer(third, T);
    unlinked(&world.all());
}

#[test]
fn what_exec_or_exit_ends_is_forgotten() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    world.correlator.thread_is_not_task(30);
    let mut once = |linked: bool| {
        let read = world.read(up, T);
        let sent = world.send(down, T);
        world.answer(sent, T);
        world.answer(read, T);
        let spans = world.all();
        assert_eq!(clients(&spans)[0].parent.is_some(), linked);
        world.correlator.process_changed(30);
    };
    once(false);
    once(true);
}

#[test]
fn a_lost_answer_does_not_make_a_task_one_that_multiplexes() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let lost = world.read(up, T);
    let next = world.read(up, T);
    let during = world.send(down, T);
    world.answer(during, T);
    world.end(lost, Ending::Gap);
    world.answer(next, T);
    unlinked(&world.all());
    world.wait(limit::DOUBT);
    let read = world.read(up, T);
    let sent = world.send(down, T);
    world.answer(sent, T);
    world.answer(read, T);
    let spans = world.all();
    is_child(clients(&spans)[0], servers(&spans)[0], LinkMethod::Reader);
}

#[test]
fn after_a_request_without_an_answer_the_task_is_in_doubt() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let aborted = world.read(up, T);
    world.end(aborted, Ending::Closed { by_peer: true });
    let read = world.read(up, T);
    let sent = world.send(down, T);
    world.answer(sent, T);
    world.answer(read, T);
    unlinked(&world.all());
}

#[test]
fn an_answer_that_its_connections_close_completes_later_is_no_overlap() {
    let mut world = World::new();
    let (one, two, down) = (world.elsewhere(), world.elsewhere(), world.elsewhere());
    for _ in 0..2 {
        let first = world.read(one, T);
        let call = world.call(T);
        world.watch(one, |out| out.response_started(first.number, &call));
        let second = world.read(two, T);
        let sent = world.send(down, T);
        world.watch(one, |out| out.response_ended(first.number, 0, &call));
        world.answer(sent, T);
        world.answer(second, T);
        let spans = world.all();
        let last = servers(&spans).into_iter().max_by_key(|span| span.start).unwrap();
        is_child(clients(&spans)[0], last, LinkMethod::Reader);
    }
}

#[test]
fn an_answer_by_another_task_ends_the_rule_for_the_process() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    let held = world.send(down, T);
    world.answer(held, T);
    world.answer(read, task(30, 32));
    unlinked(&world.all());
    let other = task(30, 33);
    let read = world.read(up, other);
    let sent = world.send(down, other);
    world.answer(sent, other);
    world.answer(read, other);
    unlinked(&world.all());
}

#[test]
fn a_call_after_the_answer_is_a_link_and_no_child() {
    for given_out in [false, true] {
        let mut world = World::new();
        let (up, down) = (world.elsewhere(), world.elsewhere());
        let read = world.read(up, T);
        world.answer(read, T);
        let mut spans = Vec::new();
        if given_out {
            spans = world.all();
            world.now -= limit::OWNER_WAIT;
        }
        let sent = world.send(down, T);
        world.answer(sent, T);
        spans.extend(world.all());
        let (client, server) = (the(&spans, Kind::Client, 30), the(&spans, Kind::Server, 30));
        is_root(client);
        assert_ne!(client.trace_id, server.trace_id);
        assert_eq!(client.links.len(), 1);
        assert_eq!((client.links[0].span_id, client.links[0].trace_id), (server.span_id, server.trace_id));
    }
}

#[test]
fn the_next_request_of_a_task_does_not_take_the_link_away() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    world.answer(read, T);
    let sent = world.send(down, T);
    world.answer(sent, T);
    let next = world.read(up, T);
    world.answer(next, T);
    let spans = world.all();
    assert_eq!(clients(&spans)[0].links.len(), 1);
}

#[test]
fn a_call_that_starts_before_the_end_of_a_streamed_answer_is_a_child() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    let call = world.call(T);
    world.watch(up, |out| out.response_started(read.number, &call));
    let sent = world.send(down, T);
    world.answer(sent, T);
    let call = world.call(T);
    world.watch(up, |out| out.response_ended(read.number, 0, &call));
    let spans = world.all();
    is_child(clients(&spans)[0], servers(&spans)[0], LinkMethod::Reader);
}

#[test]
fn a_request_that_was_not_seen_leaves_no_link_to_the_one_before() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    world.answer(read, T);
    // The record of the next request is lost; its answer is not.
    let sent = world.send(down, T);
    world.answer(sent, T);
    world.correlator.unseen_request(T);
    unlinked(&world.all());
}

#[test]
fn a_request_that_never_becomes_complete_leaves_no_link_to_the_one_before() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    world.answer(read, T);
    let partial = world.start(up, Side::Server, T);
    let sent = world.send(down, T);
    world.answer(sent, T);
    world.end(partial, Ending::Gap);
    unlinked(&world.all());
}

#[test]
fn an_owner_that_ends_in_a_gap_before_its_answer_owns_nothing() {
    let mut world = World::new();
    let (up, down) = (world.elsewhere(), world.elsewhere());
    let read = world.read(up, T);
    let sent = world.send(down, T);
    world.answer(sent, T);
    world.end(read, Ending::Gap);
    unlinked(&world.all());
}

#[test]
fn a_call_waits_for_a_long_owner_no_longer_than_its_bound_and_the_trace_stays_one() {
    let mut world = World::new();
    let (both, down) = (world.connect(), world.elsewhere());
    let sent = world.send(both.client, task(10, 10));
    let read = world.read(both.server, T);
    let call = world.send(down, T);
    world.answer(call, T);
    world.wait(limit::OWNER_WAIT - 1);
    assert_eq!(world.spans(), []);
    world.wait(1);
    let mut spans = world.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(world.counted(Counter::WaitsExpired), 1);
    world.answer(read, T);
    world.answer(sent, task(10, 10));
    spans.extend(world.all());
    let server = the(&spans, Kind::Server, 30);
    is_child(the(&spans, Kind::Client, 30), server, LinkMethod::Reader);
    is_child(server, the(&spans, Kind::Client, 10), LinkMethod::Connection);
}

#[test]
fn a_chain_of_services_is_one_trace() {
    let mut world = World::new();
    let (a, b, c) = (world.connect(), world.connect(), world.connect());
    let tasks = [task(10, 10), task(20, 20), task(30, 30), task(40, 40)];
    let mut open = Vec::new();
    for (hop, both) in [a, b, c].into_iter().enumerate() {
        open.push((world.send(both.client, tasks[hop]), tasks[hop]));
        open.push((world.read(both.server, tasks[hop + 1]), tasks[hop + 1]));
    }
    while let Some((at, task)) = open.pop() {
        world.answer(at, task);
    }
    let spans = world.spans();
    assert_eq!(spans.len(), 6, "given out at once");
    is_root(the(&spans, Kind::Client, 10));
    for hop in 1..=3 {
        let server = the(&spans, Kind::Server, 10 * (hop + 1));
        is_child(server, the(&spans, Kind::Client, 10 * hop), LinkMethod::Connection);
        if hop < 3 {
            is_child(the(&spans, Kind::Client, 10 * (hop + 1)), server, LinkMethod::Reader);
        }
    }
    assert_eq!(world.correlator.exchanges.len(), 0);
}
