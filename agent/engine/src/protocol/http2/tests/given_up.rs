//! Streams that their client gave up.

use super::*;

#[test]
fn what_a_server_answers_too_late_is_nothing_to_a_client_that_gave_up() {
    let (mut client, mut server) = (Encoder::default(), Encoder::default());
    let steps = [
        opening(),
        vec![
            request(client.get(1, "/a")),
            request(reset(1, 8)),
            response(server.headers(1, &[(":status", "200"), ("grpc-status", "0")], true)),
            closed(),
        ],
    ]
    .concat();
    let found = run(Side::Client, &events(Side::Client, &steps));
    assert_eq!(found.summaries(), ["GET /a +0 Reset { code: 8, by: Client }"]);
}

#[test]
fn what_a_server_sends_too_late_changes_nothing_of_a_stream_that_was_given_up() {
    for late in [reset(1, 2), reset(1, 0), reset(1, 5), go_away(0, 0), go_away(0, 2)] {
        let mut client = Encoder::default();
        let steps = [request(client.get(1, "/a")), request(reset(1, 8)), response(&late), closed()];
        let steps = [opening(), steps.to_vec()].concat();
        for side in SIDES {
            let out = run(side, &events(side, &steps));
            assert_eq!(out.summaries(), ["GET /a +0 Reset { code: 8, by: Client }"], "{side:?} {late:?}");
        }
    }
}

#[test]
fn what_a_server_sent_before_its_client_gave_a_stream_up_counts() {
    for (early, ending) in [
        (reset(1, 2), "GET /a +0 Reset { code: 2, by: Server }"),
        (go_away(0, 2), "GET /a +0 GoneAway { code: 2, served: false }"),
    ] {
        let mut client = Encoder::default();
        let steps = [request(client.get(1, "/a")), response(&early), request(reset(1, 8)), closed()];
        let steps = [opening(), steps.to_vec()].concat();
        for side in SIDES {
            assert_eq!(run(side, &events(side, &steps)).summaries(), [ending], "{side:?}");
        }
    }
}

#[test]
fn streams_that_were_given_up_take_no_room() {
    let mut client = Encoder::default();
    let count = 2 * u32::try_from(limit::STREAMS_MAX).unwrap();
    let watch = client.post(1, "/watch");
    let burst: Vec<u8> =
        (1..count).flat_map(|n| [client.get(2 * n + 1, "/a"), reset(2 * n + 1, 8)].concat()).collect();
    let answer = Encoder::default().status(1, "200", true);
    let steps = [request(watch), request(burst), response(answer), request(data(1, "", true)), closed()];
    let steps = [opening(), steps.to_vec()].concat();
    for side in SIDES {
        let out = run(side, &events(side, &steps));
        assert_eq!(out.counters.value(Counter::ExchangesEvicted), 0);
        let summaries = out.summaries();
        let given_up = summaries.iter().filter(|summary| summary.ends_with("Reset { code: 8, by: Client }"));
        assert_eq!(given_up.count(), count as usize - 1, "{side:?}");
        assert!(
            summaries.iter().any(|summary| summary.starts_with("POST /watch") && summary.contains("200"))
        );
    }
}
