//! Configuration files as they go wrong: each is refused at the right place, with what was expected there.

use super::*;

/// The file, the line and the column of the caret, and a part of the message that says what was expected.
const CASES: &[(&str, usize, usize, &str)] = &[
    // Keys that do not exist.
    ("selct: []\n", 1, 1, "did you mean `select`?"),
    ("export: []\nSelect: []\n", 2, 1, "did you mean `select`?"),
    ("service-name: shop\n", 1, 1, "did you mean `service_name`?"),
    ("servicename: shop\n", 1, 1, "did you mean `service_name`?"),
    ("tracing: true\n", 1, 1, "Expected `export`, `select`, `exclude`"),
    ("ring: 16MiB\n", 1, 1, "it belongs to `capture`, indented"),
    ("request: [accept]\n", 1, 1, "it belongs to `headers`, indented"),
    ("capture:\n  rnig: 16MiB\n", 2, 3, "did you mean `ring`?"),
    (
        "capture:\n  buffers: 16MiB\n",
        2,
        3,
        "Expected `flavour`, `copy_limit`, `connections`, `calls`, `processes` or `ring`",
    ),
    ("headers:\n  requests: [accept]\n", 2, 3, "did you mean `request`?"),
    ("select:\n  - name: x\n", 2, 5, "Expected `exe`, `command_line`, `pid`"),
    ("select:\n  - ex: nginx\n", 2, 5, "did you mean `exe`?"),
    ("select:\n  - pid: 1\n    setting: {}\n", 3, 5, "did you mean `settings`?"),
    (
        "select:\n  - pid: 1\n    settings:\n      forwarded: true\n",
        4,
        7,
        "Expected `service_name`, `attributes`",
    ),
    ("select:\n  - pid: 1\n    settings: { exports: [otlp] }\n", 3, 17, "did you mean `export`?"),
    ("ignore:\n  - url: /healthz\n", 2, 5, "Expected `method`, `path`, `user_agent`, `status` or `port`"),
    ("ignore:\n  - { path: /x, user-agent: y }\n", 2, 17, "did you mean `user_agent`?"),
    ("1: a\n", 1, 1, "unknown key `1`"),
    ("? select\n: []\n? selekt\n: []\n", 3, 3, "did you mean `select`?"),
    ("<<: { selct: [] }\n", 1, 7, "did you mean `select`?"),
    // Keys that stand twice.
    ("export: []\nexport: [otlp]\n", 2, 1, "the key `export` is set a second time"),
    ("capture:\n  ring: 1MiB\n  calls: 100\n  ring: 2MiB\n", 4, 3, "the key `ring` is set a second time"),
    ("attributes: { team: a, team: b }\n", 1, 24, "the key `team` is set a second time"),
    ("select: [{ pid: 1, pid: 2 }]\n", 1, 20, "the key `pid` is set a second time"),
    // Not a map of keys.
    ("just text\n", 1, 1, "expected keys here, each with its value (`key: value`)"),
    ("- export\n- select\n", 1, 1, "expected keys here"),
    ("service_name=shop\n", 1, 1, "expected keys here"),
    ("42\n", 1, 1, "expected keys here"),
    ("\"export\"\n", 1, 1, "expected keys here"),
    ("capture: 16MiB\n", 1, 10, "expected keys here"),
    ("capture: [ring]\n", 1, 10, "expected keys here"),
    ("capture:\n  - ring: 16MiB\n", 2, 3, "expected keys here"),
    ("headers: [accept]\n", 1, 10, "expected keys here"),
    ("headers: accept\n", 1, 10, "expected keys here"),
    ("attributes: [team]\n", 1, 13, "expected keys here"),
    ("attributes: shop\n", 1, 13, "expected keys here"),
    ("select: [nginx]\n", 1, 10, "(`key: value`), not `nginx`"),
    ("select:\n  - nginx\n", 2, 5, "expected keys here"),
    ("ignore: [/healthz]\n", 1, 10, "expected keys here"),
    ("select:\n  - pid: 1\n    settings: none\n", 3, 15, "expected keys here"),
    ("[a]: b\n", 1, 1, "expected a single value here"),
    ("null: a\n", 1, 1, "expected the name of a key before the `:`"),
    // Not a list.
    ("select: nginx\n", 1, 9, "expected a list here"),
    ("select:\n  exe: nginx\n", 2, 3, "expected a list here"),
    ("exclude: { exe: nginx }\n", 1, 10, "expected a list here"),
    ("ignore:\n  path: /healthz\n", 2, 3, "expected a list here"),
    ("routes: { a: b }\n", 1, 9, "expected a list of texts"),
    ("export:\n  otlp: http://localhost\n", 2, 3, "expected a list of texts"),
    // Not a single value.
    ("service_name: [shop]\n", 1, 15, "expected a single value here, not a list"),
    ("service_name: { name: shop }\n", 1, 15, "expected a single value here, not a map"),
    ("sampler:\n  name: always_on\n", 2, 3, "expected a single value here"),
    ("forwarded: [true]\n", 1, 12, "expected a single value here"),
    ("capture: { ring: [16MiB] }\n", 1, 18, "expected a single value here"),
    ("select:\n  - port: [80, 81]\n", 2, 11, "expected a single value here"),
    ("routes: [[/users]]\n", 1, 10, "expected a single value here"),
    ("routes:\n  - /users\n  - { path: /items }\n", 3, 5, "expected a single value here"),
    ("export: [otlp, ~]\n", 1, 16, "expected a value here, but there is none"),
    // Destinations.
    ("export: [jaeger]\n", 1, 10, "use one of `otlp[=URL]`"),
    ("export:\n  - otlp\n  - json\n", 3, 5, "json=spans.jsonl"),
    ("export: console=red\n", 1, 9, "takes no value"),
    ("select:\n  - pid: 1\n    settings:\n      export: [oltp]\n", 4, 16, "use one of `otlp[=URL]`"),
    // Selectors.
    ("select:\n  - {}\n", 2, 5, "expected exe, command_line, pid, port, user, cgroup or unit"),
    ("select:\n  - pid: 1\n  - exe:\n", 3, 5, "expected exe, command_line"),
    ("exclude: [{}]\n", 1, 11, "expected exe, command_line"),
    ("select:\n  - settings: { service_name: shop }\n", 2, 5, "expected exe, command_line"),
    (
        "exclude:\n  - pid: 1\n    settings: { service_name: shop }\n",
        2,
        5,
        "`settings` belongs to a selector of `select`",
    ),
    ("select:\n  - exe: 'a['\n", 2, 10, "unclosed character class"),
    ("select:\n  - exe: '/opt/{a'\n", 2, 10, "no pattern"),
    ("select:\n  - exe: ''\n", 2, 10, "expected a pattern"),
    ("select:\n  - cgroup: 'x[z-a]'\n", 2, 13, "invalid range"),
    ("select:\n  - command_line: '*{'\n", 2, 19, "no pattern"),
    ("select:\n  - command_line: ''\n", 2, 19, "expected a pattern"),
    ("select:\n  - port: 70000\n", 2, 11, "expected a number from 1 to 65535"),
    ("select:\n  - port: 0\n", 2, 11, "expected a number from 1 to 65535"),
    ("select:\n  - port: -80\n", 2, 11, "expected a number from 1 to 65535"),
    ("select:\n  - port: http\n", 2, 11, "expected a number from 1 to 65535"),
    ("select:\n  - port: 80.5\n", 2, 11, "expected a number from 1 to 65535"),
    ("select:\n  - port: 80-90\n", 2, 11, "expected a number from 1 to 65535"),
    ("select:\n  - pid: self\n", 2, 10, "expected a number from 1 to"),
    ("select:\n  - pid: 0\n", 2, 10, "expected a number from 1 to"),
    ("select:\n  - pid: 99999999999\n", 2, 10, "expected a number from 1 to"),
    ("select:\n  - user: -1\n", 2, 11, "expected a name, or a user id"),
    ("select:\n  - user: 99999999999\n", 2, 11, "expected a name, or a user id"),
    ("select:\n  - user: ''\n", 2, 11, "expected a name, or a user id"),
    ("select:\n  - unit: shop*\n", 2, 11, "shop@ for every instance"),
    ("select:\n  - unit: .service\n", 2, 11, "shop@ for every instance"),
    // Names and attributes.
    ("service_name: ''\n", 1, 15, "expected a name"),
    ("service_name: '  '\n", 1, 15, "expected a name"),
    ("attributes: { '': x }\n", 1, 15, "expected the name of an attribute"),
    ("attributes:\n  http.route: /x\n", 2, 3, "expected another, such as `shop.http.route`"),
    ("attributes:\n  team: shop\n  url.path: /\n", 3, 3, "no name for an attribute of your own"),
    ("attributes:\n  version: 1.10\n", 2, 3, "a number with a point in quotes"),
    ("attributes:\n  team: { name: shop }\n", 2, 9, "a whole number"),
    ("attributes:\n  team: ~\n", 2, 3, "expected a text"),
    ("attributes:\n  count: 18446744073709551615\n", 2, 10, "too large"),
    ("attributes:\n  teams: [[a]]\n", 2, 11, "expected a single value here"),
    // Headers.
    ("headers:\n  request: [accept, Cookie]\n", 2, 21, "carries credentials and is never exported"),
    ("headers:\n  request:\n    - authorization\n", 3, 7, "carries credentials and is never exported"),
    ("headers: { response: [set-cookie] }\n", 1, 23, "carries credentials and is never exported"),
    ("headers: { request: [proxy-authorization] }\n", 1, 22, "carries credentials and is never exported"),
    ("headers: { request: ['x id'] }\n", 1, 22, "no name of a header"),
    ("headers: { request: [''] }\n", 1, 22, "no name of a header"),
    ("headers: { request: ['x-*'] }\nroutes: [x]\n", 2, 10, "does not begin with `/`"),
    (
        "select:\n  - pid: 1\n    settings:\n      headers: { request: [cookie] }\n",
        4,
        28,
        "carries credentials",
    ),
    (
        "select:\n  - pid: 1\n    settings:\n      export_headers: { 'x y': z }\n",
        4,
        25,
        "is not the name of a header",
    ),
    (
        "select:\n  - pid: 1\n    settings:\n      export_headers: { host: z }\n",
        4,
        25,
        "set by the exporter itself",
    ),
    // Opt-in, routes, sampler.
    ("opt_in: [http.request.size]\n", 1, 10, "these can: http.request.body.size"),
    ("opt_in: [first-byte]\n", 1, 10, "did you mean `first_byte`?"),
    ("opt_in: all\n", 1, 9, "these can: http.request.body.size"),
    ("routes: [users]\n", 1, 10, "write it as `/users/{id}`"),
    ("routes: ['/users/{id']\n", 1, 10, "a parameter as a segment of its own"),
    ("routes: ['/users/x{id}']\n", 1, 10, "a parameter as a segment of its own"),
    ("routes: ['/users/*/items']\n", 1, 10, "it has to be the last segment"),
    ("routes: ['/users?id=1']\n", 1, 10, "without the query"),
    ("routes: [/a, /b, c]\n", 1, 18, "does not begin with `/`"),
    ("routes: [/users/{id}]\n", 1, 9, "quotes"),
    ("sampler: always\n", 1, 10, "Expected `always_on`, `always_off`"),
    ("sampler: parent_based_always_on\n", 1, 10, "did you mean `parentbased_always_on`?"),
    ("sampler: 0.1\n", 1, 10, "Expected `always_on`"),
    ("sampler: traceidratio\nsampler_argument: 10%\n", 2, 19, "expected a number from 0 to 1"),
    ("sampler_argument: 1.5\n", 1, 19, "expected a number from 0 to 1"),
    ("sampler_argument: -0.1\n", 1, 19, "expected a number from 0 to 1"),
    ("sampler_argument: .nan\n", 1, 19, "expected a number from 0 to 1"),
    ("sampler_argument: nan\n", 1, 19, "expected a number from 0 to 1"),
    ("sampler_argument: ''\n", 1, 19, "expected a number from 0 to 1"),
    // Switches and words.
    ("forwarded: maybe\n", 1, 12, "Expected `true` or `false`"),
    ("forwarded: 1\n", 1, 12, "Expected `true` or `false`"),
    ("forwarded: ture\n", 1, 12, "did you mean `true`?"),
    ("command_arguments: redacted\n", 1, 20, "Expected `true` or `false`"),
    ("instrumented: drop\n", 1, 15, "Expected `skip` or `both`"),
    ("telemetry_ingest: excluded\n", 1, 19, "did you mean `exclude`?"),
    ("redact_query: ['a=b']\n", 1, 16, "write it decoded, without `=`"),
    ("redact_query: [token, '']\n", 1, 23, "not empty"),
    // Ignore rules.
    ("ignore:\n  - {}\n", 2, 5, "one of method, path, user_agent, status, port"),
    ("ignore:\n  - path: healthz\n", 2, 11, "expected one that starts with / or *"),
    ("ignore:\n  - path: ''\n", 2, 11, "an empty pattern matches nothing"),
    ("ignore:\n  - method: get\n", 2, 13, "did you mean `GET`?"),
    ("ignore:\n  - method: 'GET POST'\n", 2, 13, "no HTTP method"),
    ("ignore:\n  - status: 4x\n", 2, 13, "a code such as 404, or a class such as 4xx"),
    ("ignore:\n  - status: 99\n", 2, 13, "a code such as 404, or a class such as 4xx"),
    ("ignore:\n  - status: ok\n", 2, 13, "a code such as 404, or a class such as 4xx"),
    ("ignore:\n  - port: 99999\n", 2, 11, "expected a number from 1 to 65535"),
    ("ignore:\n  - path: /a\n  - user_agent: ''\n", 3, 17, "an empty pattern matches nothing"),
    // Sizes and counts.
    ("capture:\n  ring: 3MiB\n", 2, 9, "expected a power of two from 64KiB to 1024MiB"),
    ("capture:\n  ring: 4KiB\n", 2, 9, "expected a power of two from 64KiB"),
    ("capture:\n  ring: 99999999999999999999\n", 2, 9, "expected bytes, such as"),
    ("capture:\n  ring: 16 megabytes\n", 2, 9, "32KiB or 16MiB"),
    ("capture:\n  ring: -16MiB\n", 2, 9, "32KiB or 16MiB"),
    ("capture:\n  flavour: fentry\n", 2, 12, "Expected `auto` or `syscall`"),
    ("capture:\n  copy_limit: 65KiB\n", 2, 15, "expected 1KiB to 64KiB"),
    ("capture:\n  copy_limit: 32kB\n", 2, 15, "32KiB or 16MiB"),
    ("capture:\n  copy_limit: 1.5KiB\n", 2, 15, "32KiB or 16MiB"),
    ("capture:\n  calls: 1\n", 2, 10, "expected 64 to 4194304"),
    ("capture: { calls: many }\n", 1, 19, "expected a number from 64 to 4194304"),
    ("capture: { processes: 1e9 }\n", 1, 23, "expected a number from 64"),
    ("capture:\n  connections: 10000000000\n", 2, 16, "expected 64 to 4194304"),
    // Not YAML.
    ("capture:\n\tring: 1MiB\n", 2, 1, "a tab cannot indent"),
    ("select:\n  - exe: a\n\t- exe: b\n", 3, 1, "a tab cannot indent"),
    ("service_name: \"shop\nexport: []\n", 1, 15, "expected a closing quote"),
    ("service_name: 'shop\n", 1, 15, "expected a closing quote"),
    ("select:\n  - exe: \"/opt\n  - pid: 1\n", 2, 10, "expected a closing quote"),
    ("export: [otlp, console\nforwarded: true\n", 1, 9, "a `]` after what this `[` opens"),
    ("export: [\n", 1, 9, "a `]` after what this `[` opens"),
    ("select: [{ pid: 1 ]\n", 1, 9, "with `,` between them"),
    ("select:\n  - { pid: 1\n  - { pid: 2 }\n", 2, 5, "a `}` after what this `{` opens"),
    ("attributes: { team: shop\nforwarded: true\n", 1, 13, "a `}` after what this `{` opens"),
    ("export: otlp]\n", 1, 9, "use one of `otlp[=URL]`"),
    ("capture:\n    ring: 1MiB\n   calls: 100\n", 3, 4, "indented as the one before it"),
    (
        "select:\n  - pid: 1\n   - pid: 2\n",
        3,
        4,
        "this `- ` stands behind 3 blanks, the one in line 2 behind 2",
    ),
    ("service_name: a: b\n", 1, 16, "put a text that has one in quotes"),
    ("service_name shop\nexport: []\n", 1, 1, "expected keys here"),
    ("export: []\nservice_name shop\n", 2, 1, "there is no `:` after this"),
    ("select:\n  - exe: **/nginx\n", 2, 10, "quotes"),
    ("select:\n  - exe: *nginx\n", 2, 10, "put a text that begins with `*` in quotes"),
    ("service_name: @shop\n", 1, 15, "expected a text in quotes"),
    ("service_name: `shop`\n", 1, 15, "expected a text in quotes"),
    ("service_name: %shop\n", 1, 15, "expected a text in quotes"),
    ("service_name: &\n", 1, 15, "expected a text in quotes"),
    ("service_name: \"C:\\qa\"\n", 1, 15, "begins an escape"),
    ("service_name: a\u{0}b\n", 1, 16, "expected a text in quotes"),
    ("service_name: \u{7}\n", 1, 15, "expected a text in quotes"),
    ("service_name: !!binary aaa\n", 1, 24, "expected a plain text"),
    ("---\nservice_name: a\n---\nservice_name: b\n", 4, 1, "a configuration is one document"),
    ("service_name: a\n...\nexport\n", 3, 1, "a configuration is one document"),
    ("%YAML 9.9\n---\nservice_name: a\n", 1, 1, "leave it out, or write %YAML 1.2"),
    ("service_name: |\nshop\n", 2, 1, "expected a name, not an empty text"),
    ("export: [otlp,,console]\n", 1, 9, "with `,` between them"),
    ("routes:\n  - /a\n - /b\n", 3, 2, "this `- ` stands behind 1 blanks, the one in line 2 behind 2"),
    ("\u{feff}service_name: shop\nselct: []\n", 2, 1, "did you mean `select`?"),
    ("service_name: shop\r\nselct: []\r\n", 2, 1, "did you mean `select`?"),
    ("attributes: { größe: 1, [a]: b }\n", 1, 25, "expected a single value here"),
];

/// The first line of the report, without the name of the file.
fn refused(yaml: impl AsRef<[u8]>) -> (String, usize, usize) {
    let mut file = tempfile::Builder::new().prefix("spandrel").suffix(".yaml").tempfile().unwrap();
    file.write_all(yaml.as_ref()).unwrap();
    let options = Options { config: Some(file.path().to_owned()), ..Options::default() };
    let error =
        Config::from_sources(&options, []).map(|_| ()).expect_err(&String::from_utf8_lossy(yaml.as_ref()));
    let report = error.to_string();
    let place =
        report.strip_prefix(&format!("{}:", file.path().display())).unwrap_or_else(|| panic!("{report}"));
    let mut parts = place.splitn(3, ':');
    let mut number = || parts.next().unwrap().parse().unwrap_or_else(|_| panic!("{report}"));
    let (line, column) = (number(), number());
    (parts.next().unwrap().trim_start().to_owned(), line, column)
}

#[test]
fn a_malformed_file_is_refused_where_it_is_wrong_with_what_was_expected() {
    assert!(CASES.len() >= 100);
    let mut failures = Vec::new();
    for (yaml, line, column, expected) in CASES {
        let (report, found_line, found_column) = refused(yaml);
        if std::env::var_os("SHOW").is_some() {
            eprintln!("--- {yaml:?}\n{found_line}:{found_column} {report}");
        }
        if (found_line, found_column) != (*line, *column) || !report.contains(expected) {
            failures.push(format!(
                "{yaml:?} at {line}:{column} {expected:?}\n  {found_line}:{found_column} {report}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}\n{} failures", failures.join("\n"), failures.len());
}

#[test]
fn the_caret_stands_under_the_place() {
    for (yaml, ..) in CASES {
        let (report, line, column) = refused(yaml);
        let mut lines = report.lines().skip(2);
        let margin = format!("{line} | ").len();
        let source =
            lines.next().unwrap().strip_prefix(&format!("{line} | ")).unwrap_or_else(|| panic!("{report}"));
        let caret = lines.next().unwrap();
        assert_eq!(caret.chars().count(), margin + column, "{report}");
        assert!(caret.ends_with('^') && source.chars().count() + 1 >= column, "{report}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_shown_at_its_place_without_its_password() {
    let (report, line, column) = refused("export:\n  - json=-\n  - otlp=http://user:hunter2@c:4318  # ü\n");
    assert_eq!((line, column), (3, 5), "{report}");
    assert!(report.starts_with("the address of c:4318 carries credentials"), "{report}");
    assert!(report.contains("\n3 |   - otlp=http://************@c:4318  # ü\n"), "{report}");
    let (report, line, column) = refused("export: [console, \"otlp-http=collector:4318\"]\n");
    assert_eq!((line, column), (1, 19), "{report}");
    assert!(report.contains("write it like http://collector:4318"), "{report}");
}

#[test]
fn secrets_are_in_no_report() {
    for yaml in [
        "select:\n  - pid: 1\n    settings:\n      export_headers: { authorization: Bearer hunter2, host: x }\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers:\n        authorization: a: hunter2\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers: hunter2\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers: [hunter2]\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers: { x-key: [hunter2] }\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers: { x-key: \"hunter2\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers: { 'x y': hunter2 }\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers: { a: b, a: hunter2 }\n",
        "select:\n  - pid: 1\n    settings:\n      export-headers: { key: hunter2 }\n",
        "select:\n  - pid: 1\n    settings:\n      export_headers:\n      authorization: hunter2\n",
        "select:\n  - pid: 1\n    settings:\n      headers: { x-key: hunter2 }\n",
        "export_headers: { key: hunter2 }\n",
        "export: [otlp=http://c/?key=hunter2, jaeger]\n",
        "export: [jaeger=http://c/?key=hunter2]\n",
        "export: jaeger=u:hunter2@c\n",
        "export: console=http://u:hunter2@c\n",
        "export: [otlp=http://u:hunter2@c, 'otlp=http://u:hunt er2@c']\n",
        "export: \"otlp=http://u:hunter2@c\n",
        "export: { otlp: http://u:hunter2@c }\n",
    ] {
        let (report, line, column) = refused(yaml);
        assert!(!report.contains("hunter2") && !report.contains("hunt"), "{yaml}{report}");
        // What was there is still to be seen in its place.
        let shown = report.lines().nth(2).and_then(|shown| shown.split_once(" | ")).unwrap().1;
        let source = yaml.lines().nth(line - 1).unwrap();
        assert_eq!(shown.chars().count(), source.chars().count(), "{report}");
        assert!(column <= source.chars().count() + 1, "{report}");
    }
    let value = "[{ pid: 1, settings: { export_headers: { authorization: Bearer hunter2, host: x } } }]";
    let report = load_with("", &[("SPANDREL_SELECT", value)]).unwrap_err().to_string();
    assert!(report.contains("set by the exporter itself") && !report.contains("hunter2"), "{report}");
    let export = ("SPANDREL_EXPORT", "[otlp=http://c/?key=hunter2, jaeger]");
    let report = load_with("", &[export]).unwrap_err().to_string();
    assert!(report.contains("unknown destination") && !report.contains("hunter2"), "{report}");
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let deep = format!("routes: {}", "[".repeat(3000));
    let (report, line, _) = refused(&deep);
    assert!(line == 1 && report.contains("nested too deep"), "{report}");
    let closed = format!("attributes:\n  a: {}{}\n", "[".repeat(200), "]".repeat(200));
    let (report, line, _) = refused(&closed);
    assert!(line == 2 && (report.contains("expected") || report.contains("nested too deep")), "{report}");
    let blocks: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let (report, ..) = refused(format!("attributes:\n{}", blocks.replace("a:", " a:")));
    assert!(report.contains("expected") || report.contains("nested too deep"), "{report}");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = "attributes:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in
        ["b", "c", "d", "e", "f", "g", "h", "i"].into_iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        let list = vec![format!("*{of}"); 10].join(", ");
        bomb.push_str(&format!("  {name}: &{name} [{list}]\n"));
    }
    let (report, line, _) = refused(&bomb);
    assert!(line > 1 && report.contains("expected"), "{report}");

    let list = vec!["*a"; 5_000].join(", ");
    let (report, line, _) = refused(format!("routes: &a [/a]\nexport: [{list}]\n"));
    assert!(line == 2 && report.contains("expected"), "{report}");
    let (report, line, _) = refused(format!("service_name: &a shop\nopt_in: [{list}]\n"));
    assert!(line == 2 && !report.is_empty(), "{report}");
}

#[test]
fn a_file_that_is_not_utf8_is_refused_at_the_byte() {
    let (report, line, column) = refused(b"service_name: a\nexport: [caf\xe9]\n");
    assert_eq!((line, column), (2, 13));
    assert!(report.contains("0xe9") && report.contains("save the file as UTF-8"), "{report}");
    let (report, line, column) = refused(b"\xff\xfes\0e\0");
    assert_eq!((line, column), (1, 1));
    assert!(report.contains("UTF-8"), "{report}");
}

#[test]
fn a_long_line_is_shown_around_the_place() {
    let names: Vec<String> = (0..40).map(|number| format!("x-{number}")).collect();
    let (report, _, column) = refused(format!("headers: {{ request: [{}, cookie] }}\n", names.join(", ")));
    let shown = report.lines().nth(2).unwrap();
    let caret = report.lines().nth(3).unwrap().chars().count() - 1;
    assert!(column > 200 && shown.chars().count() < 110, "{report}");
    let at: String = shown.chars().skip(caret).take(6).collect();
    assert_eq!(at, "cookie", "{report}");
}

#[test]
fn too_large_a_file_is_refused_without_reading_it_whole() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![b'#'; 1024 * 1024 + 1]).unwrap();
    for path in [file.path().to_owned(), "/dev/zero".into()] {
        let options = Options { config: Some(path.clone()), ..Options::default() };
        let report = Config::from_sources(&options, []).unwrap_err().to_string();
        assert!(report.contains(&path.display().to_string()) && report.contains("larger"), "{report}");
    }
}

#[test]
fn every_start_of_a_file_is_a_configuration_or_refused() {
    let file: String =
        DEFAULT_FILE.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    for end in (0..file.len()).filter(|end| file.is_char_boundary(*end)) {
        if let Err(error) = load(&file[..end]) {
            assert!(error.to_string().contains(".yaml:"), "{error}");
        }
    }
}
