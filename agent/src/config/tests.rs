use std::{ffi::OsString, io::Write};

use super::*;
use crate::cli::Options;

mod keys;
mod malformed;
mod otel;
mod settings;

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

/// What the printed configuration shows as an example after this line.
fn example(after: &str) -> String {
    let (_, example) = DEFAULT_FILE.split_once(after).unwrap();
    let lines = example.lines().skip(1).map_while(|line| line.strip_prefix("#   "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_in_the_printed_configuration_are_configurations() {
    let config = load(&example("Empty: every process. Example:")).unwrap();
    assert!(config.select[0].settings.is_some());
    let rules = load(&example("# What probes and scrapers do:")).unwrap().policy;
    assert!(!rules.ignore.is_empty());
    assert_eq!(config.select.len(), 2);
    assert_eq!(config.select[1].selector.port, Some(8080));
}

#[test]
fn an_empty_file_is_a_configuration() {
    assert_eq!(load("").unwrap(), Config::default());
    assert_eq!(load("# nothing but a comment\n").unwrap(), Config::default());
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
    let file = "capture: { ring: 1MiB, calls: 100 }\ntelemetry_ingest: trace\nexport: otlp";
    let config = load_with(file, &environment).unwrap();
    assert_eq!((config.capture.ring, config.capture.calls), (4 * 1024 * 1024, 100));
    assert_eq!(config.select.len(), 2);
    assert_eq!(config.telemetry_ingest, TelemetryIngest::Trace, "an empty variable is an unset one");
    assert_eq!(config.export, Some(vec![Destination::Json("/tmp/spans".into())]));

    let options = Options { export: vec!["console".to_owned()], ..Options::default() };
    let config = Config::from_sources(&options, variables(&environment)).unwrap();
    assert_eq!(config.export, Some(vec![Destination::Console]));
}

#[test]
fn the_variable_of_a_map_sets_the_keys_that_it_names() {
    let environment = [("SPANDREL_CAPTURE_RING", "4MiB"), ("SPANDREL_CAPTURE", "{ ring: 1MiB, calls: 100 }")];
    let config = load_with("capture: { calls: 64, processes: 99 }", &environment).unwrap();
    assert_eq!(config.capture.ring, 4 * 1024 * 1024, "the variable of the key itself wins");
    assert_eq!((config.capture.calls, config.capture.processes), (100, 99));
}

#[test]
fn a_bad_flag_is_named() {
    let options = Options { export: vec!["jaeger".to_owned()], ..Options::default() };
    let report = Config::from_sources(&options, []).unwrap_err().to_string();
    assert!(report.starts_with("--export jaeger: unknown destination"), "{report}");
}

#[test]
fn a_bad_variable_is_named() {
    let report = load_with("", &[("SPANDREL_CAPTURE_RING", "lots")]).unwrap_err().to_string();
    assert!(report.contains("SPANDREL_CAPTURE_RING") && report.contains("lots"), "{report}");
}

#[test]
fn a_bad_variable_is_shown_where_it_is_wrong() {
    let report = load_with("", &[("SPANDREL_SELECT", "[{exe: a}, {ex: b}]")]).unwrap_err().to_string();
    assert!(
        report.contains("environment variable SPANDREL_SELECT:1:13: unknown key `ex`: did you mean `exe`?"),
        "{report}"
    );
    assert!(report.contains("\n1 | [{exe: a}, {ex: b}]\n  |             ^"), "{report}");
    let report = load_with("", &[("SPANDREL_HEADERS_REQUEST", "[accept, cookie]")]).unwrap_err().to_string();
    assert!(report.contains("SPANDREL_HEADERS_REQUEST:1:10: "), "{report}");
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
        config.select[0].selector.exe.as_ref().unwrap().matches(path)
    };
    assert!(exe("python3*", "/usr/bin/python3.11"));
    assert!(!exe("python3", "/usr/bin/python3.11"));
    assert!(exe("/usr/bin/*", "/usr/bin/curl"));
    assert!(!exe("/usr/*", "/usr/bin/curl"), "a star stays within a directory");
    assert!(exe("/usr/**", "/usr/bin/curl"));
    assert!(exe("**/curl", "/usr/bin/curl"));

    let line = |pattern: &str, line: &str| {
        let config = load(&format!("select: [{{ command_line: '{pattern}' }}]")).unwrap();
        config.select[0].selector.command_line.as_ref().unwrap().matches(line)
    };
    assert!(line("app.py", "python3 /srv/app.py --port 80"));
    assert!(line("python3 */app.py*", "python3 /srv/shop/app.py --port 80"));
    assert!(!line("*/app.py", "python3 /srv/app.py --port 80"), "a glob matches the whole line");

    let unit = |pattern: &str, unit: &str| {
        let config = load(&format!("select: [{{ unit: '{pattern}' }}]")).unwrap();
        config.select[0].selector.unit.as_ref().unwrap().matches(unit)
    };
    assert!(unit("shop", "shop.service"));
    assert!(unit("shop.service", "shop.service"));
    assert!(unit("shop@", "shop@1.service"));
    assert!(unit("shop@.service", "shop@1.service"));
    assert!(unit("shop@1", "shop@1.service"));
    assert!(!unit("shop", "shop@1.service"));
    assert!(!unit("shop@2", "shop@1.service"));
}
