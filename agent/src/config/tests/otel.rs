//! OpenTelemetry's variables, by OpenTelemetry's rules.

use engine::policy::{Methods, Sampler};

use super::*;

fn environment(variables: &[(&str, &str)]) -> Config {
    load_with("", variables).unwrap()
}

#[test]
fn the_sampler_and_its_argument_are_those_of_the_standard() {
    let sampler = |variables: &[(&str, &str)]| environment(variables).policy.sampler.clone();
    let ratio = |name: &str, argument| Sampler::parse(name, argument).unwrap();
    for name in ["always_on", "always_off", "parentbased_always_off", "parentbased_always_on", "traceidratio"]
    {
        assert_eq!(sampler(&[("OTEL_TRACES_SAMPLER", name)]), ratio(name, None), "{name}");
    }
    let name = ("OTEL_TRACES_SAMPLER", "traceidratio");
    assert_eq!(sampler(&[name, ("OTEL_TRACES_SAMPLER_ARG", "0.1")]), ratio("traceidratio", Some("0.1")));
    assert_eq!(
        sampler(&[name, ("OTEL_TRACES_SAMPLER_ARG", " ")]),
        ratio("traceidratio", None),
        "empty is unset"
    );
    assert_eq!(
        sampler(&[name, ("OTEL_TRACES_SAMPLER_ARG", "lots")]),
        ratio("traceidratio", None),
        "as if it were not set"
    );
    assert_eq!(sampler(&[("OTEL_TRACES_SAMPLER_ARG", "0.1")]), Sampler::default(), "it has no sampler");
    assert_eq!(
        sampler(&[("OTEL_TRACES_SAMPLER", "jaeger_remote")]),
        Sampler::default(),
        "unknown is ignored"
    );
    assert_eq!(
        sampler(&[("OTEL_TRACES_SAMPLER", "Always_Off")]),
        ratio("always_off", None),
        "case does not matter"
    );
}

#[test]
fn the_standard_sampler_wins_over_the_file_and_our_own_variable_over_both() {
    let file = "sampler: always_on\nsampler_argument: 0.5";
    let standard = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
    let config = load_with(file, &standard).unwrap();
    assert_eq!(config.policy.sampler, Sampler::parse("traceidratio", Some("0.25")).unwrap());
    let own = [standard.as_slice(), &[("SPANDREL_SAMPLER", "always_off")]].concat();
    let config = load_with(file, &own).unwrap();
    assert_eq!(config.policy.sampler, Sampler::parse("always_off", None).unwrap());
}

#[test]
fn the_known_methods_can_be_replaced() {
    let methods =
        |value| environment(&[("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", value)]).policy.methods.clone();
    assert_eq!(methods("GET,PURGE , FETCH"), Methods::new(["GET", "PURGE", "FETCH"]).unwrap());
    assert_eq!(methods(""), Methods::default());
    assert_eq!(methods("GET,BAD METHOD"), Methods::default(), "not understood is ignored");
}

#[test]
fn the_resource_attributes_of_the_agent_go_on_every_resource_but_its_name_does_not() {
    let config = environment(&[
        ("OTEL_SERVICE_NAME", "spandrel"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=agent,team=a%20b"),
    ]);
    let expected = [("deployment.environment.name", "test"), ("team", "a b")];
    assert_eq!(config.resource, expected.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(config.service_name, None);
    assert!(environment(&[("OTEL_RESOURCE_ATTRIBUTES", "team")]).resource.is_empty(), "discarded as a whole");
}

#[test]
fn the_exporter_can_be_the_one_of_the_standard_variable() {
    let export = |value| environment(&[("OTEL_TRACES_EXPORTER", value)]).export;
    let of =
        |texts: &[&str]| Some(texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Destination>>());
    assert_eq!(export("otlp"), of(&["otlp"]));
    assert_eq!(export("console, otlp"), of(&["console", "otlp"]));
    assert_eq!(export("zipkin"), of(&["zipkin"]));
    assert_eq!(export("none"), Some(vec![]));
    assert_eq!(export(""), None);
    assert_eq!(export("prometheus"), None, "unknown is ignored");
    assert_eq!(export("json=/etc/passwd"), None, "only the names of the standard");

    let none = ("OTEL_TRACES_EXPORTER", "none");
    assert_eq!(load_with("export: otlp", &[none]).unwrap().export, Some(vec![]));
    assert_eq!(load_with("", &[none, ("SPANDREL_EXPORT", "console")]).unwrap().export, of(&["console"]));
    let options = Options { export: vec!["otlp".to_owned()], ..Options::default() };
    assert_eq!(Config::from_sources(&options, variables(&[none])).unwrap().export, of(&["otlp"]));
}

#[test]
fn a_program_that_turned_its_sdk_off_is_still_traced() {
    assert_eq!(environment(&[("OTEL_SDK_DISABLED", "true")]), Config::default());
}

#[test]
fn an_argument_without_a_ratio_sampler_is_remarked_on() {
    let unused = |name: Option<&str>, argument: Option<&str>| {
        let argument = argument.map(|text| text.parse().unwrap());
        sampler::unused(name.map(|name| name.parse().unwrap()), argument.as_ref())
    };
    for name in [None, Some("always_on"), Some("parentbased_always_off")] {
        assert!(unused(name, Some("0.1")).is_some_and(|text| text.contains("parentbased_traceidratio")));
        assert_eq!(unused(name, None), None);
    }
    for name in ["traceidratio", "parentbased_traceidratio"] {
        assert_eq!(unused(Some(name), Some("0.1")), None);
    }
}

#[test]
fn what_is_ignored_is_logged_without_its_secrets() {
    let log = logged(|| {
        for variable in [
            ("OTEL_TRACES_EXPORTER", "otlp=http://u:hunter2@c"),
            ("OTEL_TRACES_EXPORTER", "otlp,zipkin=http://c/?key=hunter2"),
            ("OTEL_RESOURCE_ATTRIBUTES", "key=hunter2,hunter2"),
            ("OTEL_TRACES_SAMPLER", "http://u:hunter2@c"),
            ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "http://u:hunter2@c/?hunter2"),
        ] {
            environment(&[variable]);
        }
    });
    assert!(!log.contains("hunter2"), "{log}");
    for expected in [
        "ignoring OTEL_TRACES_EXPORTER=otlp=http://REDACTED@c: `otlp=http://REDACTED@c` is none of otlp",
        "ignoring OTEL_RESOURCE_ATTRIBUTES=...: expected name=value",
        "ignoring OTEL_TRACES_SAMPLER=http://REDACTED@c",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

/// What is logged meanwhile.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<std::sync::Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, work);
    let text = log.0.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}
