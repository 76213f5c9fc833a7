use super::*;

fn settings(target: &OtlpTarget, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::otlp(target, &Headers::default(), |name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

fn environment(variables: &[(&str, &str)]) -> Settings {
    settings(&OtlpTarget::Environment, variables).unwrap()
}

fn endpoint(target: &OtlpTarget, variables: &[(&str, &str)]) -> String {
    settings(target, variables).unwrap().endpoint.to_string()
}

#[test]
fn without_any_setting_it_is_http_to_this_host() {
    let settings = environment(&[]);
    assert_eq!(settings.endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(settings.protocol, Protocol::HttpProtobuf);
    assert_eq!((settings.timeout, settings.compression), (Some(Duration::from_secs(10)), Compression::None));
    assert!(settings.tls == TlsFiles::default() && settings.headers.map().is_empty());
}

#[test]
fn the_general_address_is_a_base_and_that_for_traces_is_used_as_it_is() {
    let target = OtlpTarget::Environment;
    let general = |url| endpoint(&target, &[("OTEL_EXPORTER_OTLP_ENDPOINT", url)]);
    assert_eq!(general("http://c:4318"), "http://c:4318/v1/traces");
    assert_eq!(general("https://c/base/"), "https://c/base/v1/traces");
    let both = |url| {
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)];
        endpoint(&target, &variables)
    };
    assert_eq!(both("http://c:4318/own"), "http://c:4318/own");
    assert_eq!(both("http://c:4318"), "http://c:4318/");
    assert_eq!(both(""), "http://x/v1/traces", "empty is unset");
}

#[test]
fn the_query_of_an_address_is_sent_and_not_shown() {
    let target = OtlpTarget::Http(Some("https://c/otlp?key=hunter2".to_owned()));
    let settings = settings(&target, &[]).unwrap();
    assert_eq!(settings.endpoint.query(), Some("key=hunter2"));
    assert_eq!(settings.address(), "https://c/otlp");
}

#[test]
fn an_address_on_the_command_line_comes_before_the_environment() {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let http = |url: &str| OtlpTarget::Http(Some(url.to_owned()));
    assert_eq!(endpoint(&http("http://c:4318"), &variables), "http://c:4318/v1/traces");
    assert_eq!(endpoint(&http("http://c/api/otlp?key=1"), &variables), "http://c/api/otlp?key=1");
    assert_eq!(endpoint(&OtlpTarget::Http(None), &variables), "http://x/v1/traces");
    let address = OtlpTarget::Address("http://c:4318".to_owned());
    assert_eq!(endpoint(&address, &[]), "http://c:4318/v1/traces");
    assert_eq!(settings(&address, &variables).unwrap().protocol, Protocol::Grpc);
    let grpc = OtlpTarget::Grpc(Some("http://c:4317".to_owned()));
    assert!(endpoint(&grpc, &variables).starts_with("http://c:4317/opentelemetry.proto.collector.trace.v1."));
}

#[test]
fn grpc_addresses_without_a_scheme_use_tls_unless_it_is_turned_off() {
    let scheme =
        |variables: &[(&str, &str)]| environment(variables).endpoint.scheme_str().unwrap().to_owned();
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317");
    assert_eq!(scheme(&[grpc]), "http");
    assert_eq!(scheme(&[grpc, address]), "https");
    assert_eq!(scheme(&[grpc, address, ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")]), "http");
    for value in ["false", "1", "yes"] {
        assert_eq!(scheme(&[grpc, address, ("OTEL_EXPORTER_OTLP_INSECURE", value)]), "https", "{value}");
    }
    for (traces, general, expected) in
        [("1", "true", "https"), ("true", "false", "http"), ("", "true", "http"), ("FALSE", "true", "https")]
    {
        let both = [("OTEL_EXPORTER_OTLP_TRACES_INSECURE", traces), ("OTEL_EXPORTER_OTLP_INSECURE", general)];
        assert_eq!(scheme(&[grpc, address, both[0], both[1]]), expected, "{both:?}");
    }
    let scheme_given = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317");
    assert_eq!(scheme(&[grpc, scheme_given, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]), "https");
    assert_eq!(environment(&[grpc]).endpoint.port_u16(), Some(4317));
}

#[test]
fn the_variables_for_traces_come_first_and_what_is_not_understood_is_ignored() {
    let settings = environment(&[
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "lzma"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
    ]);
    assert_eq!(settings.protocol, Protocol::Grpc);
    assert_eq!(settings.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(settings.compression, Compression::Gzip);
    let settings =
        environment(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "none")]);
    assert_eq!((settings.timeout, settings.compression), (Some(Duration::from_secs(10)), Compression::None));
    let zstd =
        environment(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "Zstd")]);
    assert_eq!((zstd.timeout, zstd.compression), (None, Compression::Zstd), "0 is no limit");
}

#[test]
fn headers_are_percent_decoded_and_malformed_ones_left_out() {
    let value = "api-key = se%63ret%3D , tenant=a=b,nothing,bad name=1,x=%4,";
    let headers = environment(&[("OTEL_EXPORTER_OTLP_HEADERS", value)]).headers;
    let headers = headers.map();
    assert_eq!(
        (headers["api-key"].to_str().unwrap(), headers["tenant"].to_str().unwrap()),
        ("secret=", "a=b")
    );
    assert_eq!(headers.len(), 2);
    assert!(headers["api-key"].is_sensitive());
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_that_says_where_it_came_from() {
    let error =
        |variables: &[(&str, &str)]| settings(&OtlpTarget::Environment, variables).unwrap_err().to_string();
    let message = error(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]);
    assert!(
        message.starts_with("`collector:4318` in OTEL_EXPORTER_OTLP_ENDPOINT is not the address"),
        "{message}"
    );
    assert!(message.ends_with("write it like http://collector:4318"), "{message}");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert!(error(&[grpc, ("OTEL_EXPORTER_OTLP_ENDPOINT", "unix:///x")]).contains("http://collector:4317"));
    for url in ["http://", "http://a b", "", "://", "http:///x"] {
        if let Err(error) = settings(&OtlpTarget::Http(Some(url.to_owned())), &[]) {
            assert!(error.to_string().contains("is not the address of a collector"), "{error}");
        }
    }
    let message = error(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@c:4318")]);
    assert!(message.contains("the address of c:4318") && !message.contains("secret"), "{message}");
}

#[test]
fn the_headers_of_a_selector_come_before_those_of_the_environment() {
    let mut own = Headers::default();
    own.insert("x-tenant", "shop").unwrap();
    let variable = |name: &str| {
        (name == "OTEL_EXPORTER_OTLP_HEADERS")
            .then(|| "x-tenant=all,x-key=1,content-type=text/plain".to_owned())
    };
    let settings = Settings::otlp(&OtlpTarget::Environment, &own, variable).unwrap();
    let headers = settings.headers.map();
    assert_eq!((headers["x-tenant"].to_str().unwrap(), headers["x-key"].to_str().unwrap()), ("shop", "1"));
    assert_eq!(headers.len(), 2, "what the exporter sets itself is left out");
}

fn zipkin(url: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::zipkin(url, &Headers::default(), |name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn zipkin_has_variables_of_its_own() {
    let endpoint = |url, variables: &[_]| zipkin(url, variables).unwrap().endpoint.to_string();
    let variable = |value| ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", value);
    assert_eq!(endpoint(None, &[]), "http://localhost:9411/api/v2/spans");
    assert_eq!(endpoint(None, &[variable("")]), "http://localhost:9411/api/v2/spans");
    assert_eq!(endpoint(None, &[variable("http://z:1/own")]), "http://z:1/own");
    assert_eq!(endpoint(Some("http://z:9411"), &[variable("http://x")]), "http://z:9411/api/v2/spans");
    assert_eq!(endpoint(Some("https://z/own/path"), &[]), "https://z/own/path");
    let timeout = |value| zipkin(None, &[("OTEL_EXPORTER_ZIPKIN_TIMEOUT", value)]).unwrap().timeout;
    assert_eq!(timeout("1500"), Some(Duration::from_millis(1500)));
    assert_eq!((timeout("0"), timeout("-1")), (None, Some(Duration::from_secs(10))));
    let message = zipkin(Some("zipkin:9411"), &[]).unwrap_err().to_string();
    assert!(message.contains("is not the address of a Zipkin"), "{message}");
    assert!(message.ends_with("write it like http://zipkin:9411/api/v2/spans"), "{message}");
    let message = zipkin(Some("http://u:secret@z"), &[]).unwrap_err().to_string();
    assert!(message.contains("the headers of the export") && !message.contains("secret"), "{message}");
}
