use super::*;
use crate::protocol::http2::tests::writer::{self, Encoder};

#[test]
fn each_standard_method_keeps_its_name_at_both_ends() {
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"] {
        let request = format!("{method} /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
        serve(&request).ok().gives(&format!(
            "{method} | Server | Unset
             http.request.method={method}
             url.path=/a
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
        ));
        call(&request).ok().gives(&format!(
            "{method} | Client | Unset
             http.request.method={method}
             url.full=http://shop/a
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
        ));
    }
}

#[test]
fn a_head_request_has_a_response_without_a_body() {
    serve("HEAD /a HTTP/1.1\r\nHost: shop\r\n\r\n")
        .answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        .gives(
            "HEAD | Server | Unset
             http.request.method=HEAD
             url.path=/a
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER",
        );
}

#[test]
fn unknown_and_lower_case_methods_are_other_at_both_ends() {
    for method in ["PROPFIND", "get", "Post", "M-SEARCH"] {
        let request = format!("{method} /a HTTP/1.1\r\nHost: shop\r\n\r\n");
        serve(&request).ok().gives(&format!(
            "HTTP | Server | Unset
             http.request.method=_OTHER
             http.request.method_original={method}
             url.path=/a
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
        ));
        call(&request).ok().gives(&format!(
            "HTTP | Client | Unset
             http.request.method=_OTHER
             http.request.method_original={method}
             url.full=http://shop/a
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
        ));
    }
}

#[test]
fn the_list_of_known_methods_is_replaced_not_added_to() {
    for (method, known) in [("PROPFIND", true), ("GET", true), ("POST", false), ("propfind", false)] {
        let request = format!("{method} /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
        let (name, attributes) = if known {
            (method, format!("http.request.method={method}"))
        } else {
            ("HTTP", format!("http.request.method=_OTHER\nhttp.request.method_original={method}"))
        };
        serve(request).policy(|it| it.methods = Methods::new(["PROPFIND", "GET"]).unwrap()).ok().gives(
            &format!(
                "{name} | Server | Unset
             {attributes}
             url.path=/a
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
            ),
        );
    }
}

#[test]
fn what_is_no_method_is_refused() {
    for name in ["", "GE T", "GET,POST", "ü"] {
        assert!(Methods::new([name]).unwrap_err().to_string().contains(&format!("`{name}`")));
    }
}

#[test]
fn connect_names_its_target_and_has_no_url() {
    let request = "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n";
    let established = "HTTP/1.1 200 Connection established\r\n\r\n";
    serve(request).answer(established).gives(
        "CONNECT | Server | Unset
         http.request.method=CONNECT
         url.scheme=http
         server.address=db.example
         server.port:5432
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    call(request).answer(established).gives(
        "CONNECT | Client | Unset
         http.request.method=CONNECT
         server.address=db.example
         server.port:5432
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    call(request).answer("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n").gives(
        "CONNECT | Client | Error
         http.request.method=CONNECT
         server.address=db.example
         server.port:5432
         network.protocol.version=1.1
         http.response.status_code:407
         error.type=407
         PEER",
    );
}

#[test]
fn options_of_the_server_has_an_asterisk_for_a_path() {
    let request = "OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n";
    serve(request).ok().gives(
        "OPTIONS | Server | Unset
         http.request.method=OPTIONS
         url.path=*
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    call(request).ok().gives(
        "OPTIONS | Client | Unset
         http.request.method=OPTIONS
         url.full=http://shop
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
}

#[test]
fn an_extended_connect_has_a_path_and_the_port_of_its_scheme() {
    let head = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "shop"),
    ];
    let head = Encoder::default().headers(1, &head, false);
    let asked = [writer::PREFACE, &writer::settings(&[]), &head, &writer::data(1, "", true)].concat();
    let answered =
        [writer::settings(&[]), Encoder::default().headers(1, &[(":status", "200")], true)].concat();
    for case in [call(&asked), serve(&asked)] {
        let (span, _) = case.answer(&answered).play();
        let shown: Vec<_> = span.attributes.iter().map(show).collect();
        for expected in ["http.request.method=CONNECT", "server.address=shop", "server.port:80"] {
            assert!(shown.contains(&expected.to_owned()), "{expected} in {shown:?}");
        }
    }
}
