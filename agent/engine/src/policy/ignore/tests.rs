use super::*;

fn rule(edit: impl FnOnce(&mut Rule)) -> Ignore {
    let mut rule = Rule::default();
    edit(&mut rule);
    Ignore::new(vec![rule]).unwrap()
}

fn path(pattern: &str, path: &str) -> bool {
    pattern.parse::<PathGlob>().unwrap().matches(path.as_bytes())
}

fn agent(pattern: &str, agent: &str) -> bool {
    pattern.parse::<AgentPattern>().unwrap().matches(agent.as_bytes())
}

#[test]
fn a_path_pattern_is_the_whole_path_with_stars_for_a_segment_and_for_anything() {
    for (pattern, text, expected) in [
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz/", false),
        ("/healthz", "/health", false),
        ("/health*", "/healthz", true),
        ("/health*", "/health", true),
        ("/health*", "/health/live", false),
        ("/health**", "/health/live", true),
        ("/*/metrics", "/a/metrics", true),
        ("/*/metrics", "/a/b/metrics", false),
        ("/**/metrics", "/a/b/metrics", true),
        ("/**/metrics", "/metrics", false),
        ("**/metrics", "/metrics", true),
        ("/a*b*c", "/aXbYbZc", true),
        ("/a*b*c", "/aXbY/bZc", false),
        ("/a**b*c", "/aX/bY/bZc", true),
        ("*", "*", true),
        ("**", "/any/thing", true),
        ("/[a]?", "/[a]?", true),
        ("/[a]?", "/ab", false),
    ] {
        assert_eq!(path(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn an_agent_pattern_is_a_part_of_it_or_with_stars_all_of_it() {
    for (pattern, text, expected) in [
        ("kube-probe", "kube-probe/1.31", true),
        ("probe/1", "kube-probe/1.31", true),
        ("Kube-Probe", "kube-probe/1.31", false),
        ("kube-probe/*", "kube-probe/1.31", true),
        ("kube-probe/*", "not a kube-probe/1.31", false),
        ("*Prometheus/2*", "Prometheus/2.53 (a/b)", true),
    ] {
        assert_eq!(agent(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_hostile_path_costs_no_more_than_its_length_times_the_pattern() {
    let pattern = "/a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a**a**a**a**a**a**ab".parse::<PathGlob>().unwrap();
    assert!(!pattern.matches(&[&b"/"[..], &[b'a'; 65_535]].concat()));
}

#[test]
fn what_is_no_pattern_or_status_is_refused_with_what_was_expected() {
    assert_eq!("".parse::<PathGlob>(), Err(PatternError::Empty));
    assert_eq!("".parse::<AgentPattern>(), Err(PatternError::Empty));
    assert_eq!("healthz".parse::<PathGlob>(), Err(PatternError::NoPath("healthz".into())));
    assert_eq!("/".repeat(257).parse::<PathGlob>(), Err(PatternError::TooLong));
    assert!(path(&"/".repeat(256), &"/".repeat(256)));
    assert!(agent(&"a".repeat(256), &"a".repeat(300)));
    for text in ["", "99", "600", "0xx", "6xx", "4x", "4xxx", "x4x", "+40", "404 ", "5\u{e9}"] {
        assert_eq!(text.parse::<Status>(), Err(IgnoreError::Status(text.into())), "{text}");
    }
    assert_eq!("404".parse(), Ok(Status::Code(404)));
    assert_eq!("5xx".parse(), Ok(Status::Class(5)));
    assert_eq!(Ignore::new(vec![Rule::default()]), Err(IgnoreError::Empty));
}

#[test]
fn every_condition_has_to_hold_and_what_is_unknown_does_not() {
    let ignore = rule(|rule| {
        rule.method = Some("GET".into());
        rule.path = Some("/healthz".parse().unwrap());
        rule.user_agent = Some("kube-probe".parse().unwrap());
        rule.port = Some(8080);
    });
    let all = Facts {
        method: Some(b"GET"),
        path: Some(b"/healthz"),
        user_agent: Some(b"kube-probe/1.31"),
        port: Some(8080),
        ..Facts::default()
    };
    assert_eq!(ignore.covers(&all), Some(true));
    for facts in [
        Facts { method: Some(b"HEAD"), ..all },
        Facts { path: Some(b"/"), ..all },
        Facts { user_agent: Some(b"curl/8"), ..all },
        Facts { port: Some(80), ..all },
        Facts { method: None, ..all },
        Facts { path: None, ..all },
        Facts { user_agent: None, ..all },
        Facts { port: None, ..all },
    ] {
        assert_eq!(ignore.covers(&facts), Some(false), "{facts:?}");
    }
    assert!(ignore.is_by_port());
}

#[test]
fn a_status_is_waited_for_only_if_it_decides() {
    let ignore = Ignore::new(vec![
        Rule { path: Some("/a".parse().unwrap()), ..Rule::default() },
        Rule { path: Some("/b".parse().unwrap()), status: Some("4xx".parse().unwrap()), ..Rule::default() },
    ])
    .unwrap();
    let of = |path, status, status_may_come| {
        ignore.covers(&Facts { path: Some(path), status, status_may_come, ..Facts::default() })
    };
    assert_eq!(of(b"/a", None, true), Some(true));
    assert_eq!(of(b"/b", None, true), None);
    assert_eq!(of(b"/b", None, false), Some(false));
    assert_eq!(of(b"/b", Some(404), false), Some(true));
    assert_eq!(of(b"/b", Some(500), false), Some(false));
    assert_eq!(of(b"/c", None, true), Some(false));
    assert!(!ignore.is_by_port());
}
