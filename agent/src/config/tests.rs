use std::{ffi::OsString, io::Write};

use super::*;
use crate::cli::Options;

fn load(yaml: &str) -> Result<Config, ConfigError> {
    load_with(yaml, &[])
}

fn load_with(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::Builder::new().prefix("spandrel").suffix(".yaml").tempfile().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    let options = Options { config: Some(file.path().to_owned()), ..Options::default() };
    Config::from_sources(&options, variables(environment))
}

fn variables(environment: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    environment.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn without_any_source_every_process_is_selected() {
    let config = Config::from_sources(&Options::default(), []).unwrap();
    assert_eq!(config, Config::default());
    assert!(config.select.is_empty());
}

#[test]
fn the_printed_configuration_states_the_defaults() {
    assert_eq!(load(DEFAULT_FILE).unwrap(), Config::default());
}

#[test]
fn the_example_in_the_printed_configuration_is_one() {
    let (_, example) = DEFAULT_FILE.split_once("Example:\n").unwrap();
    let lines = example.lines().map_while(|line| line.strip_prefix("#   "));
    let config = load(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(config.select.len(), 2);
    assert_eq!(config.select[1].port, Some(8080));
}

#[test]
fn an_empty_file_is_a_configuration() {
    assert_eq!(load("").unwrap(), Config::default());
    assert_eq!(load("# nothing but a comment\n").unwrap(), Config::default());
}

#[test]
fn every_key_is_read() {
    let config = load(
        "export: [console, otlp=http://localhost:4318]\n\
         select:\n  - { exe: /opt/**, command_line: serve, pid: 7, port: 80, user: www-data, cgroup: /a/*, unit: shop }\n\
         exclude: [{ user: 0 }]\n\
         capture: { copy_limit: 64KiB, connections: 100, calls: 200, processes: 300, ring: 1MiB }\n\
         telemetry_ingest: trace\n",
    )
    .unwrap();
    assert_eq!(config.export, ["console", "otlp=http://localhost:4318"]);
    let [selector] = config.select.as_slice() else { panic!("{config:?}") };
    assert!(selector.exe.as_ref().unwrap().matches("/opt/shop/bin/server"));
    assert_eq!((selector.pid, selector.port), (Some(7), Some(80)));
    assert_eq!(selector.user, Some(User::Name("www-data".to_owned())));
    assert_eq!(config.exclude[0].user, Some(User::Id(0)));
    let capture =
        Capture { copy_limit: 65536, connections: 100, calls: 200, processes: 300, ring: 1024 * 1024 };
    assert_eq!(config.capture, capture);
    assert_eq!(config.telemetry_ingest, TelemetryIngest::Trace);
}

#[test]
fn environment_wins_over_file_and_flags_over_environment() {
    let environment = [
        ("SPANDREL_CAPTURE_RING", "4MiB"),
        ("SPANDREL_SELECT", "[{exe: nginx}, {port: 80}]"),
        ("SPANDREL_TELEMETRY_INGEST", ""),
        ("SPANDREL_EXPORT", "json=/tmp/spans"),
        ("SPANDREL_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = load_with("capture: { ring: 1MiB }\ntelemetry_ingest: trace", &environment).unwrap();
    assert_eq!(config.capture.ring, 4 * 1024 * 1024);
    assert_eq!(config.select.len(), 2);
    assert_eq!(config.telemetry_ingest, TelemetryIngest::Trace, "an empty variable is an unset one");
    assert_eq!(config.export, ["json=/tmp/spans"]);

    let options = Options { export: vec!["console".to_owned()], ..Options::default() };
    let config = Config::from_sources(&options, variables(&environment)).unwrap();
    assert_eq!(config.export, ["console"]);
}

#[test]
fn an_error_names_the_file_the_line_and_what_was_expected() {
    let cases = [
        ("export: []\nselct: []\n", ":2", "selct"),
        ("capture:\n  ring: 3MiB\n", ":2", "power of two"),
        ("capture:\n  copy_limit: 65KiB\n", ":2", "1KiB to 64KiB"),
        ("capture:\n  copy_limit: 32kB\n", ":2", "32KiB or 16MiB"),
        ("capture:\n  calls: 1\n", ":2", "64 to"),
        ("capture: { calls: many }\n", ":1", "many"),
        ("select:\n  - exe: 'a['\n", ":2", "a["),
        ("select:\n  - port: 70000\n", ":2", "70000"),
        ("select:\n  - {}\n", ":2", "expected exe, command_line"),
        ("select:\n  - name: x\n", ":2", "name"),
        ("telemetry_ingest: maybe\n", ":1", "exclude"),
        ("export: []\nexport: []\n", ":2", "export"),
        ("select: [\n", ":", "spandrel"),
    ];
    for (yaml, line, expected) in cases {
        let report = load(yaml).unwrap_err().to_string();
        assert!(report.contains(".yaml"), "{yaml}: {report}");
        assert!(report.contains(line), "{yaml}: {report}");
        assert!(report.contains(expected), "{yaml}: {report}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    let report = load_with("", &[("SPANDREL_CAPTURE_RING", "lots")]).unwrap_err().to_string();
    assert!(report.contains("SPANDREL_CAPTURE_RING") && report.contains("lots"), "{report}");
}

#[test]
fn an_empty_file_name_is_none() {
    let options = Options { config: Some("".into()), ..Options::default() };
    assert_eq!(Config::from_sources(&options, []).unwrap(), Config::default());
}

#[test]
fn a_missing_file_is_named() {
    let options = Options { config: Some("/nonexistent/spandrel.yaml".into()), ..Options::default() };
    let report = Config::from_sources(&options, []).unwrap_err().to_string();
    assert!(report.contains("/nonexistent/spandrel.yaml"), "{report}");
}

#[test]
fn selectors_match_what_their_documentation_says() {
    let exe = |pattern: &str, path: &str| {
        let config = load(&format!("select: [{{ exe: '{pattern}' }}]")).unwrap();
        config.select[0].exe.as_ref().unwrap().matches(path)
    };
    assert!(exe("python3*", "/usr/bin/python3.11"));
    assert!(!exe("python3", "/usr/bin/python3.11"));
    assert!(exe("/usr/bin/*", "/usr/bin/curl"));
    assert!(!exe("/usr/*", "/usr/bin/curl"), "a star stays within a directory");
    assert!(exe("/usr/**", "/usr/bin/curl"));
    assert!(exe("**/curl", "/usr/bin/curl"));

    let line = |pattern: &str, line: &str| {
        let config = load(&format!("select: [{{ command_line: '{pattern}' }}]")).unwrap();
        config.select[0].command_line.as_ref().unwrap().matches(line)
    };
    assert!(line("app.py", "python3 /srv/app.py --port 80"));
    assert!(line("python3 */app.py*", "python3 /srv/shop/app.py --port 80"));
    assert!(!line("*/app.py", "python3 /srv/app.py --port 80"), "a glob matches the whole line");

    let unit = |pattern: &str, unit: &str| {
        let config = load(&format!("select: [{{ unit: '{pattern}' }}]")).unwrap();
        config.select[0].unit.as_ref().unwrap().matches(unit)
    };
    assert!(unit("shop", "shop.service"));
    assert!(unit("shop.service", "shop.service"));
    assert!(unit("shop@", "shop@1.service"));
    assert!(unit("shop@.service", "shop@1.service"));
    assert!(unit("shop@1", "shop@1.service"));
    assert!(!unit("shop", "shop@1.service"));
    assert!(!unit("shop@2", "shop@1.service"));
}
