//! gRPC calls, by the conventions for RPC and those for gRPC.

use super::*;
use crate::protocol::http2::tests::writer::{self, Encoder};

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const WEB: (&str, &str) = ("content-type", "application/grpc-web+proto");
const OK: &[(&str, &str)] = &[("grpc-status", "0")];

/// What a client sends that calls `/shop.Cart/Add` with one message, with this metadata.
pub(super) fn asked(metadata: &[(&str, &str)]) -> Vec<u8> {
    sent("shop:50051", &[&[GRPC, ("te", "trailers")], metadata].concat())
}

fn sent(authority: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = vec![(":method", "POST"), (":scheme", "http"), (":path", "/shop.Cart/Add")];
    if !authority.is_empty() {
        head.push((":authority", authority));
    }
    head.extend(fields);
    let head = Encoder::default().headers(1, &head, false);
    let message = writer::data(1, writer::message(5), true);
    [writer::PREFACE, &writer::settings(&[]), &head, &message].concat()
}

/// What a server answers: one message, and these trailers.
pub(super) fn answered(trailers: &[(&str, &str)]) -> Vec<u8> {
    answer(&[GRPC], &writer::message(7), trailers)
}

fn answer(head: &[(&str, &str)], content: &[u8], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let head = encoder.headers(1, &[&[(":status", "200")], head].concat(), false);
    let end = match trailers {
        [] => writer::data(1, "", true),
        trailers => encoder.headers(1, trailers, true),
    };
    [writer::settings(&[]), head, writer::data(1, content, false), end].concat()
}

/// A response of trailers alone.
fn ended(fields: &[(&str, &str)]) -> Vec<u8> {
    let head = [&[(":status", "200"), GRPC], fields].concat();
    [writer::settings(&[]), Encoder::default().headers(1, &head, true)].concat()
}

/// The attributes with these in place of the address of the server.
fn with_server(address: &str) -> String {
    format!(
        "shop.Cart/Add | Client | Unset
         rpc.system.name=grpc
         rpc.method=shop.Cart/Add
         rpc.status_code=OK
         {address}
         network.protocol.name=http
         network.protocol.version=2
         spandrel.rpc.messages.sent:1
         spandrel.rpc.messages.received:1"
    )
}

#[test]
fn a_whole_call_at_both_ends() {
    serve(asked(&[])).answer(answered(OK)).gives(
        "shop.Cart/Add | Server | Unset
         rpc.system.name=grpc
         rpc.method=shop.Cart/Add
         rpc.status_code=OK
         server.address=shop
         server.port:50051
         network.protocol.name=http
         network.protocol.version=2
         spandrel.rpc.messages.sent:1
         spandrel.rpc.messages.received:1
         PEER",
    );
    let address = "server.address=shop\nserver.port:50051\nPEER";
    call(asked(&[])).answer(answered(OK)).gives(&with_server(address));
}

#[test]
fn the_message_of_a_status_describes_an_error_and_nothing_else() {
    let not_found = [("grpc-status", "5"), ("grpc-message", "no%20cart")];
    let attributes = "rpc.system.name=grpc
         rpc.method=shop.Cart/Add
         rpc.status_code=NOT_FOUND
         server.address=shop
         server.port:50051
         network.protocol.name=http
         network.protocol.version=2
         spandrel.rpc.messages.sent:1
         spandrel.rpc.messages.received:1
         PEER";
    serve(asked(&[]))
        .answer(answered(&not_found))
        .gives(&format!("shop.Cart/Add | Server | Unset\n{attributes}"));
    let error = "shop.Cart/Add | Client | Error: no cart\nerror.type=NOT_FOUND";
    call(asked(&[])).answer(answered(&not_found)).gives(&format!("{error}\n{attributes}"));
    let unnamed = "shop.Cart/Add | Client | Error\nerror.type=NOT_FOUND";
    call(asked(&[])).answer(answered(&not_found[..1])).gives(&format!("{unnamed}\n{attributes}"));
    let secrets = [("grpc-status", "5"), ("grpc-message", "no http://u:p%3Bq@x/?sig=s")];
    let error =
        "shop.Cart/Add | Client | Error: no http://REDACTED:REDACTED@x/?sig=REDACTED\nerror.type=NOT_FOUND";
    call(asked(&[])).answer(answered(&secrets)).gives(&format!("{error}\n{attributes}"));
}

#[test]
fn a_response_without_a_code_means_one_where_all_clients_say_the_same() {
    let code = |answer: Vec<u8>| {
        let (span, _) = call(asked(&[])).answer(answer).play();
        let code = span
            .attributes
            .iter()
            .map(show)
            .find_map(|shown| shown.strip_prefix("rpc.status_code=").map(str::to_owned));
        (code, span.status != Status::Unset)
    };
    let content = writer::message(7);
    assert_eq!(code(answer(&[GRPC], &content, &[("x-cache", "HIT")])), (Some("UNKNOWN".to_owned()), true));
    assert_eq!(code(answer(&[GRPC], &content, &[])), (None, false), "its last DATA frame ended it");
    let unavailable = Encoder::default().headers(1, &[(":status", "503"), GRPC], true);
    assert_eq!(code([writer::settings(&[]), unavailable].concat()), (Some("UNAVAILABLE".to_owned()), true));
}

#[test]
fn a_message_that_is_cut_shows_no_part_of_a_secret() {
    const KEPT: usize = 1024;
    let message = "m".repeat(KEPT - "http://user:secr".len()) + "http://user:secret@host/";
    let trailers = [("grpc-status", "5"), ("grpc-message", &*message)];
    let (span, _) = call(asked(&[])).answer(answered(&trailers)).play();
    let Status::Error { description: Some(shown) } = span.status else { panic!("{:?}", span.status) };
    assert!(shown.starts_with("mmm") && !shown.contains("secr"), "{shown}");
}

#[test]
fn a_method_that_the_service_does_not_have_is_other() {
    serve(asked(&[])).answer(ended(&[("grpc-status", "12"), ("grpc-message", "unknown")])).gives(
        "grpc | Server | Error: unknown
         rpc.system.name=grpc
         rpc.method=_OTHER
         rpc.method_original=shop.Cart/Add
         rpc.status_code=UNIMPLEMENTED
         error.type=UNIMPLEMENTED
         server.address=shop
         server.port:50051
         network.protocol.name=http
         network.protocol.version=2
         spandrel.rpc.messages.sent:0
         spandrel.rpc.messages.received:1
         PEER",
    );
}

#[test]
fn the_address_of_the_server_is_the_one_that_was_asked_for() {
    for (authority, address) in [
        ("shop:50051", "server.address=shop\nserver.port:50051"),
        // Which port a target without one means is its resolver's affair.
        ("shop", "server.address=shop"),
        ("[2001:db8::1]:443", "server.address=2001:db8::1\nserver.port:443"),
        ("shop:many", ""),
        ("", ""),
    ] {
        let asked = sent(authority, &[GRPC]);
        call(asked).answer(answered(OK)).gives(&with_server(&format!("{address}\nPEER")));
    }
    // Nor is it a proxy's.
    let forwarded =
        [("x-forwarded-host", "front"), ("x-forwarded-proto", "https"), ("x-forwarded-for", "9.9.9.9")];
    let server = with_server("server.address=shop\nserver.port:50051").replace("Client", "Server");
    serve(asked(&forwarded)).answer(answered(OK)).gives(&format!(
        "{server}
         client.address=9.9.9.9
         network.peer.address=192.0.2.7
         network.peer.port:50000"
    ));
}

#[test]
fn a_call_over_a_unix_socket_is_to_its_path() {
    let unix = |case: Case| case.between(End::Unix(b""), End::Unix(b"/run/shop.sock")).answer(answered(OK));
    let expected = with_server("server.address=/run/shop.sock\nnetwork.peer.address=/run/shop.sock");
    unix(call(sent("localhost", &[GRPC]))).gives(&expected);
}

#[test]
fn metadata_on_the_lists_is_told_by_what_it_was_sent_with() {
    let headers = |policy: &mut Policy| {
        policy.headers =
            Headers { request: names(&["x-tenant"]), response: names(&["x-cache", "x-cost-bin"]) };
    };
    let with = |more: &str| {
        let peer = with_server("server.address=shop\nserver.port:50051\nPEER");
        format!("{peer}\nrpc.request.header.x-tenant=[blue|red]\n{more}")
    };
    let request = asked(&[("x-tenant", "blue"), ("x-other", "1"), ("x-tenant", "red")]);
    let trailers = [OK[0], ("x-cost-bin", "AAE"), ("x-cache", "MISS")];
    let response = answer(&[GRPC, ("x-cache", "HIT")], &writer::message(7), &trailers);
    call(&request).policy(headers).answer(response).gives(&with(
        "rpc.response.header.x-cache=[HIT]
         rpc.response.trailer.x-cache=[MISS]
         rpc.response.trailer.x-cost-bin=[AAE]",
    ));
    let alone = with("rpc.response.trailer.x-cache=[MISS]").replace("received:1", "received:0");
    call(&request).policy(headers).answer(ended(&[OK[0], ("x-cache", "MISS")])).gives(&alone);
}

#[test]
fn grpc_web_has_its_trailers_in_its_content() {
    let text = "grpc-status: 5\r\ngrpc-message: no%20cart\r\nx-cache: HIT\r\n";
    let mut content = writer::message(7);
    content.push(0x80);
    content.extend((text.len() as u32).to_be_bytes());
    content.extend(text.as_bytes());
    call(sent("shop:50051", &[WEB]))
        .policy(|policy| policy.headers.response = names(&["x-cache"]))
        .answer(answer(&[WEB], &content, &[]))
        .gives(
            "shop.Cart/Add | Client | Error: no cart
             rpc.system.name=grpc
             rpc.method=shop.Cart/Add
             rpc.status_code=NOT_FOUND
             rpc.response.trailer.x-cache=[HIT]
             error.type=NOT_FOUND
             server.address=shop
             server.port:50051
             network.protocol.name=http
             network.protocol.version=2
             spandrel.rpc.messages.sent:1
             spandrel.rpc.messages.received:1
             PEER",
        );
}

#[test]
fn what_becomes_of_a_stream_behind_its_status_is_no_failure() {
    for code in [0, 8] {
        let response = [answered(OK), writer::reset(1, code)].concat();
        call(asked(&[])).answer(response).gives(&with_server("server.address=shop\nserver.port:50051\nPEER"));
    }
    // The server ends a stream whose client has more to send.
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/shop.Cart/Add"),
        (":authority", "shop:50051"),
        GRPC,
    ];
    let message = writer::data(1, writer::message(5), false);
    let request =
        [writer::PREFACE, &writer::settings(&[]), &Encoder::default().headers(1, &head, false), &message]
            .concat();
    // The first asks for no more of the request (RFC 9113, 8.1).
    for (code, event) in [(0, ""), (8, "event spandrel.reset spandrel.reset.code=CANCEL")] {
        let response = [answered(OK), writer::reset(1, code)].concat();
        let whole = with_server("server.address=shop\nserver.port:50051\nPEER");
        call(&request).answer(response).gives(&format!("{whole}\n{event}"));
    }
}

#[test]
fn a_call_that_fails_before_it_has_a_status_says_how() {
    let fails = |name: &str, code: &str| {
        let failed = format!("rpc.status_code={code}\nerror.type={name}");
        with_server("server.address=shop\nserver.port:50051\nPEER")
            .replace("Unset", "Error")
            .replace("rpc.status_code=OK", &failed)
            .replace("received:1", "received:0")
    };
    let reset = [writer::settings(&[]), writer::reset(1, 7)].concat();
    let refused =
        fails("REFUSED_STREAM", "UNAVAILABLE") + "\nevent spandrel.reset spandrel.reset.code=REFUSED_STREAM";
    call(asked(&[])).answer(reset).gives(&refused);
    let closed = writer::settings(&[]);
    // By the client itself: only that knows what it makes of its call.
    let left = fails("connection_closed", "").replace("rpc.status_code=\n", "");
    call(asked(&[])).answer(&closed).closed().gives(&left);
    let gone = fails("connection_reset", "UNAVAILABLE") + "\nevent spandrel.reset";
    call(asked(&[])).answer(closed).failed(104).gives(&gone);
}
