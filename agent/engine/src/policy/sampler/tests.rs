use super::*;

fn sampler(name: &str, argument: Option<&str>) -> Sampler {
    Sampler::parse(name, argument).unwrap()
}

fn ratio(argument: &str) -> (u64, String) {
    match sampler("traceidratio", Some(argument)).root {
        Root::Ratio { threshold, state } => (threshold, state.to_string()),
        root => panic!("{root:?}"),
    }
}

fn state(text: &str) -> Arc<str> {
    text.into()
}

#[test]
fn the_standard_names_are_samplers_and_nothing_else_is() {
    for name in SAMPLERS {
        sampler(name, None);
        sampler(name, Some("0.5"));
    }
    assert_eq!(sampler("parentbased_always_on", None), Sampler::default());
    for name in
        ["", "always", "parentbased_", "parentbased_parentbased_always_on", "jaeger_remote", "ALWAYS_ON"]
    {
        let error = Sampler::parse(name, None).unwrap_err();
        assert_eq!(error, SamplerError::Name { name: name.to_owned() });
        assert!(error.to_string().contains("parentbased_traceidratio"));
    }
    for argument in ["", "-0.1", "1.1", "NaN", "inf", "10%", "0,1"] {
        let error = Sampler::parse("traceidratio", Some(argument)).unwrap_err();
        assert_eq!(error, SamplerError::Argument { argument: argument.to_owned() });
    }
    // It takes none, so that one for another sampler is no mistake.
    sampler("always_on", Some("ten"));
}

#[test]
fn thresholds_are_those_of_the_specifications_table() {
    let table = [
        ("1", "0"),
        ("0.5", "8"),
        ("0.3333333333333333", "aaab"),
        ("0.25", "c"),
        ("0.2", "cccd"),
        ("0.125", "e"),
        ("0.1", "e666"),
        ("0.0625", "f"),
        ("0.01", "fd70a"),
        ("0.001", "ffbe77"),
        ("0.0001", "fff9724"),
        ("0.00001", "ffff583a"),
        ("0.000001", "ffffef39"),
        // The smallest probability: 2^-56.
        ("1.3877787807814457e-17", "ffffffffffffff"),
    ];
    for (argument, digits) in table {
        let (threshold, state) = ratio(argument);
        assert_eq!(state, format!("ot=th:{digits}"), "{argument}");
        assert_eq!(format!("{threshold:014x}"), format!("{digits:0<14}"));
    }
    assert_eq!(
        ratio("1"),
        match sampler("parentbased_traceidratio", None).root {
            Root::Ratio { threshold, state } => (threshold, state.to_string()),
            root => panic!("{root:?}"),
        }
    );
    assert_eq!(sampler("traceidratio", Some("0")).root, Root::Off);
    assert_eq!(sampler("traceidratio", Some("1e-18")).root, Root::Off);
}

#[test]
fn the_low_56_bits_of_the_trace_id_decide() {
    let half = sampler("traceidratio", Some("0.5"));
    let below = TraceId(0xffff_ffff_ffff_ffff_ff7f_ffff_ffff_ffff);
    let at = TraceId(0x0080_0000_0000_0000);
    assert!(!half.decide(below, None, None).sampled);
    assert_eq!(half.decide(at, None, None), Decision { sampled: true, state: Some("ot=th:8".into()) });
}

#[test]
fn explicit_randomness_decides_before_the_trace_id() {
    let tenth = sampler("traceidratio", Some("0.1"));
    let (low, high) = (TraceId(1), TraceId(RANDOMNESS.into()));
    let says = |trace, text: &str| tenth.decide(trace, None, Some(&state(text)));
    let kept = says(low, "a=1,ot=rv:ffffffffffffff;x:y,b=2");
    assert_eq!(
        kept,
        Decision { sampled: true, state: Some("ot=th:e666;rv:ffffffffffffff;x:y,a=1,b=2".into()) }
    );
    assert!(!says(high, "ot=rv:00000000000000").sampled);
    // What is no randomness is none.
    for text in
        ["ot=rv:1", "ot=rv:fffffffffffffff", "ot=rv:+fffffffffffff", "t@ot=rv:ffffffffffffff", "ot=", "ot"]
    {
        assert!(!says(low, text).sampled, "{text}");
        assert!(says(high, text).sampled, "{text}");
    }
}

#[test]
fn a_larger_ratio_keeps_what_a_smaller_one_keeps_and_about_as_many_as_it_says() {
    let samplers = ["0.01", "0.1", "0.5", "1"].map(|argument| sampler("traceidratio", Some(argument)));
    let mut kept = [0_u32; 4];
    let mut number = 1_u128;
    for _ in 0..20_000 {
        number = number.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
        let says =
            samplers.each_ref().map(|sampler| sampler.decide(TraceId(number >> 8), None, None).sampled);
        assert!(says.is_sorted(), "{says:?}");
        for (kept, says) in kept.iter_mut().zip(says) {
            *kept += u32::from(says);
        }
    }
    assert!((120..280).contains(&kept[0]) && (1800..2200).contains(&kept[1]), "{kept:?}");
    assert!((9700..10_300).contains(&kept[2]) && kept[3] == 20_000, "{kept:?}");
}

#[test]
fn only_a_parent_based_sampler_keeps_the_decision_of_a_header() {
    let trace = TraceId(1);
    for (name, expected) in [
        ("always_on", [true, true, true]),
        ("always_off", [false, false, false]),
        ("traceidratio", [false, false, false]),
        ("parentbased_always_on", [true, false, true]),
        ("parentbased_always_off", [true, false, false]),
        ("parentbased_traceidratio", [true, false, false]),
    ] {
        let sampler = sampler(name, Some("0.5"));
        let says =
            [Some(true), Some(false), None].map(|decided| sampler.decide(trace, decided, None).sampled);
        assert_eq!(says, expected, "{name}");
    }
}

#[test]
fn a_decision_that_is_kept_keeps_the_state_unless_its_threshold_is_wrong() {
    let parent = Sampler::default();
    let trace = TraceId(RANDOMNESS.into());
    for text in ["a=1,ot=th:c;k:v,b=2", "vendor=x", "ot=th:xyz,a=1"] {
        assert_eq!(parent.decide(trace, Some(true), Some(&state(text))).state.as_deref(), Some(text));
    }
    let wrong = parent.decide(TraceId(1), Some(true), Some(&state("a=1,ot=th:c;k:v,b=2")));
    assert_eq!(wrong, Decision { sampled: true, state: Some("ot=k:v,a=1,b=2".into()) });
    assert_eq!(parent.decide(TraceId(1), Some(true), Some(&state("ot=th:c"))).state, None);
    assert_eq!(parent.decide(TraceId(1), Some(true), None).state, None);
}

#[test]
fn a_state_without_room_stays_as_it_is() {
    let tenth = sampler("traceidratio", Some("0.5"));
    let trace = TraceId(RANDOMNESS.into());
    let full = (0..32).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
    let long = format!("a={}", "x".repeat(509));
    let member = format!("ot=k:{}", "x".repeat(254));
    for text in [full, long, member] {
        assert_eq!(tenth.decide(trace, None, Some(&state(&text))).state.as_deref(), Some(text.as_str()));
    }
}
