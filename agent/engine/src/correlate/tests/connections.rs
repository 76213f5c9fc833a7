use super::*;

/// One exchange over a connection between processes 10 and 20.
fn exchange(world: &mut World, both: Both) {
    let (client, server) = (task(10, 10), task(20, 20));
    let sent = world.send(both.client, client);
    let read = world.read(both.server, server);
    world.answer(read, server);
    world.answer(sent, client);
}

#[track_caller]
fn linked(spans: &[Span]) {
    is_child(the(spans, Kind::Server, 20), the(spans, Kind::Client, 10), LinkMethod::Connection);
}

#[track_caller]
fn unlinked(spans: &[Span]) {
    is_root(the(spans, Kind::Server, 20));
    is_root(the(spans, Kind::Client, 10));
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
}

#[test]
fn both_ends_of_a_connection_are_found_by_their_addresses_and_given_out_at_once() {
    let mut world = World::new();
    let both = world.connect();
    exchange(&mut world, both);
    linked(&world.spans());
    assert_eq!(world.correlator.next_deadline(), None);
}

#[test]
fn the_order_in_which_the_ends_show_does_not_matter() {
    let mut world = World::new();
    let both = world.connect();
    let (client, server) = (task(10, 10), task(20, 20));
    let read = world.read(both.server, server);
    world.answer(read, server);
    assert_eq!(world.spans(), []);
    // The client's calls are recorded at their exit: after what they caused.
    world.now -= 4 * TICK;
    let sent = world.send(both.client, client);
    world.now += 4 * TICK;
    world.answer(sent, client);
    let spans = world.spans();
    let (of_client, of_server) = (the(&spans, Kind::Client, 10), the(&spans, Kind::Server, 20));
    assert_eq!(of_server.parent.map(|parent| parent.span_id), Some(of_client.span_id));
}

#[test]
fn a_server_whose_client_does_not_show_waits_no_longer_than_its_bound() {
    let mut world = World::new();
    let both = world.connect();
    let read = world.read(both.server, task(20, 20));
    world.answer(read, task(20, 20));
    world.wait(limit::PEER_WAIT - 2 * TICK - 1);
    assert_eq!(world.spans(), []);
    world.wait(1);
    is_root(the(&world.spans(), Kind::Server, 20));
    assert_eq!(world.counted(Counter::WaitsExpired), 0);
}

#[test]
fn a_server_that_took_longer_than_the_wait_is_given_out_at_its_end() {
    let mut world = World::new();
    let socket = world.elsewhere();
    let read = world.read(socket, task(20, 20));
    world.wait(limit::PEER_WAIT);
    world.answer(read, task(20, 20));
    assert_eq!(world.spans().len(), 1);
}

#[test]
fn requests_of_a_connection_are_told_apart_by_their_position() {
    let mut world = World::new();
    let both = world.connect();
    let (client, server) = (task(10, 10), task(20, 20));
    // The server does not see the first request.
    let first = world.send(both.client, client);
    *world.requests.entry((0, both.server)).or_default() += 1;
    let second = world.send(both.client, client);
    let read = world.read(both.server, server);
    world.answer(read, server);
    world.answer(first, client);
    world.answer(second, client);
    let spans = world.spans();
    let of_server = the(&spans, Kind::Server, 20);
    let of_clients: Vec<_> = spans.iter().filter(|span| span.kind == Kind::Client).collect();
    assert_eq!(of_server.parent.map(|parent| parent.span_id), Some(of_clients[1].span_id));
}

#[test]
fn without_true_positions_there_is_no_link() {
    let mut world = World::new();
    let (client, server) = (world.open_record(4000, 80), world.open_record(80, 4000));
    let client = world.open(&Open { from_opening: false, ..client });
    let server = world.open(&server);
    exchange(&mut world, Both { client, server });
    unlinked(&world.all());
}

#[test]
fn across_namespaces_and_translation_the_sequence_numbers_tell() {
    let mut world = World::new();
    let (client, server) = (world.open_record(4000, 80), world.open_record(8080, 5000));
    let client = world.open(&Open { netns: 5, sequence: Some((11, 22)), from_opening: false, ..client });
    let server = world.open(&Open { netns: 6, sequence: Some((22, 11)), ..server });
    exchange(&mut world, Both { client, server });
    linked(&world.all());
}

#[test]
fn the_same_addresses_in_two_namespaces_are_two_connections() {
    let mut world = World::new();
    let (client, server) = (world.open_record(4000, 80), world.open_record(80, 4000));
    let client = world.open(&Open { netns: 5, ..client });
    let server = world.open(&server);
    exchange(&mut world, Both { client, server });
    unlinked(&world.all());
}

#[test]
fn sequence_numbers_that_differ_outweigh_addresses() {
    let mut world = World::new();
    let (client, server) = (world.open_record(4000, 80), world.open_record(80, 4000));
    let client = world.open(&Open { sequence: Some((11, 22)), ..client });
    let server = world.open(&Open { sequence: Some((22, 12)), ..server });
    exchange(&mut world, Both { client, server });
    unlinked(&world.all());
}

#[test]
fn sequence_numbers_that_come_later_still_find_the_open_exchanges() {
    let mut world = World::new();
    let (client, server) = (world.open_record(4000, 80), world.open_record(8080, 5000));
    let both = Both {
        client: world.open(&Open { sequence: Some((11, 22)), ..client }),
        server: world.open(&server),
    };
    let sent = world.send(both.client, task(10, 10));
    let read = world.read(both.server, task(20, 20));
    world.correlator.opened(both.server, &Open { sequence: Some((22, 11)), ..server }, world.now);
    world.answer(read, task(20, 20));
    world.answer(sent, task(10, 10));
    linked(&world.spans());
}

#[test]
fn addresses_that_are_used_again_do_not_match_a_connection_that_is_closed() {
    let mut world = World::new();
    let client = world.open_record(4000, 80);
    let client = world.open(&client);
    world.correlator.closed(client, world.now, world.now);
    world.now += TICK;
    let server = world.open_record(80, 4000);
    let server = world.open(&server);
    exchange(&mut world, Both { client, server });
    unlinked(&world.all());
}

#[test]
fn addresses_that_are_used_again_match_the_new_connection_even_if_no_end_was_seen() {
    let mut world = World::new();
    let old = world.open_record(4000, 80);
    world.open(&old);
    world.now += TICK;
    let server = world.open_record(80, 4000);
    let server = world.open(&server);
    let client = world.open_record(4000, 80);
    let client = world.open(&client);
    exchange(&mut world, Both { client, server });
    linked(&world.all());
}

#[test]
fn unix_sockets_are_found_by_their_peer() {
    let mut world = World::new();
    let (client, server) = (world.open_record(0, 0), world.open_record(0, 0));
    let path = || Endpoint::Unix(b"/run/app".as_slice().into());
    let (sock, peer) = (client.conn.sock, server.conn.sock);
    for known in [(Some(peer), Some(sock)), (None, Some(sock)), (Some(peer), None)] {
        let unix = |open: &Open, peer_sock| Open { local: path(), remote: path(), peer_sock, ..open.clone() };
        let client = world.open(&unix(&client, known.0));
        let server = world.open(&unix(&server, known.1));
        exchange(&mut world, Both { client, server });
        linked(&world.all());
        for key in [client, server] {
            world.correlator.closed(key, world.now, world.now);
        }
        world.wait(limit::LINGER);
        assert_eq!(world.correlator.sockets.len(), 0);
    }
}

#[test]
fn a_server_span_is_moved_into_its_clients_by_no_more_than_its_last_call_took() {
    let times = |write_exit: Time| {
        let mut world = World::new();
        let both = world.connect();
        let (client, server) = (task(10, 10), task(20, 20));
        let sent = world.send(both.client, client);
        let read = world.read(both.server, server);
        let call = Call { enter: 2_000_000_000, exit: write_exit, tid: 20, task: server };
        world.watch(both.server, |out| {
            out.response_started(read.number, &call);
            out.response_ended(read.number, 0, &call);
        });
        assert_eq!(world.spans(), [], "the client's end is waited for");
        world.now = 2_000_000_000;
        world.answer(sent, client);
        let spans = world.spans();
        let (of_client, of_server) = (the(&spans, Kind::Client, 10), the(&spans, Kind::Server, 20));
        assert!(of_server.start > of_client.start);
        (of_client.end - 2_000_000_000, of_server.end - 2_000_000_000)
    };
    assert_eq!(times(2_000_000_000 + TICK), (2 * TICK, TICK), "inside: stays");
    assert_eq!(times(2_000_000_000 + 50 * TICK), (2 * TICK, 2 * TICK), "the write returned late: moved");
}

#[test]
fn what_the_agent_itself_sends_makes_no_spans_at_the_other_end() {
    let mut world = World::new();
    let (own, server) = (world.open_record(4000, 80), world.open_record(80, 4000));
    let server = world.open(&server);
    let read = world.read(server, task(20, 20));
    let backend = world.elsewhere();
    let sent = world.send(backend, task(20, 20));
    world.answer(sent, task(20, 20));
    world.answer(read, task(20, 20));
    world.open(&Open { tgid: OWN, ..own });
    assert_eq!(world.all(), [], "nor what serving it calls");
    assert_eq!(world.counted(Counter::Excluded), 2);
    assert!(matches!(world.correlator.poll_order(), Some(crate::Order::Ignore { .. })));
}

