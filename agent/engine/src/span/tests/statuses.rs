use super::*;

#[track_caller]
fn both(response: &str, server: &str, client: &str) {
    serve(get("/a", "")).answer(response).gives(&format!(
        "GET | Server | {server}
         http.request.method=GET
         url.path=/a
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         PEER"
    ));
    call(get("/a", "")).answer(response).gives(&format!(
        "GET | Client | {client}
         http.request.method=GET
         url.full=http://shop/a
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         PEER"
    ));
}

#[test]
fn good_and_redirecting_statuses_leave_the_status_unset_at_both_ends() {
    for status in [200, 204, 299, 300, 304, 399] {
        let expected = format!("Unset\nhttp.response.status_code:{status}");
        both(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"), &expected, &expected);
    }
}

#[test]
fn a_client_error_is_the_clients() {
    for status in [400, 404, 499] {
        both(
            &format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
            &format!("Unset\nhttp.response.status_code:{status}"),
            &format!("Error\nhttp.response.status_code:{status}\nerror.type={status}"),
        );
    }
}

#[test]
fn a_server_error_is_one_at_both_ends_as_is_a_status_that_nobody_defined() {
    for status in [500, 503, 599, 600, 999] {
        let expected = format!("Error\nhttp.response.status_code:{status}\nerror.type={status}");
        both(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"), &expected, &expected);
    }
}

#[test]
fn informational_responses_are_events_and_the_final_one_is_the_status() {
    let response = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let expected = "Unset
        http.response.status_code:200
        event spandrel.informational http.response.status_code:100
        event spandrel.informational http.response.status_code:103";
    both(response, expected, expected);
}

#[test]
fn a_changed_protocol_ends_the_exchange_without_an_error() {
    let expected = "Unset\nhttp.response.status_code:101";
    let request = "GET /a HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let response =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02";
    both(response, expected, expected);
    serve(request).answer(response).gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/a
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:101
         PEER",
    );
}

#[test]
fn events_of_an_exchange_have_a_bound_and_a_counter() {
    let response = format!("{}{OK}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(limit::EVENTS_MAX + 3));
    let (span, engine) = serve(get("/", "")).answer(response).play();
    assert_eq!(span.events.len(), limit::EVENTS_MAX);
    assert_eq!(engine.counters().value(Counter::SpanEventsDropped), 3);
}

#[test]
fn http_1_0_says_so() {
    serve("GET /a HTTP/1.0\r\n\r\n").answer("HTTP/1.0 200 OK\r\n\r\nok").closed().gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/a
         url.scheme=http
         network.protocol.version=1.0
         http.response.status_code:200
         PEER",
    );
}

#[test]
fn a_request_that_was_answered_after_an_upgrade_is_of_http2() {
    // 101, then SETTINGS and HEADERS with END_STREAM and `:status: 200`.
    let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\
                    \0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x08\x03200";
    let request = get("/a", "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk");
    serve(request).answer(response).gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/a
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=2
         http.response.status_code:200
         event spandrel.informational http.response.status_code:101
         PEER",
    );
}
