//! Settings of selectors.

use engine::{
    policy::{HeaderNames, Routes, Sampler},
    span::{Attribute, Value},
};

use super::*;

fn text(key: &'static str, value: &'static str) -> Attribute {
    Attribute { key: key.into(), value: Value::String(value.into()) }
}

#[test]
fn settings_stand_instead_of_the_top_of_the_file() {
    let config = load(
        "service_name: top\n\
         attributes: { team: top, tier: 1 }\n\
         headers: { request: [x-top], response: [x-top] }\n\
         routes: [/top]\n\
         sampler: traceidratio\n\
         sampler_argument: 0.5\n\
         select:\n\
        \x20 - { pid: 1, settings: { attributes: { team: shop }, headers: { request: x-shop }, sampler_argument: 0.1 } }\n\
        \x20 - { pid: 2, settings: { service_name: shop, routes: [/shop], export: [], sampler: always_on } }\n\
        \x20 - { pid: 3 }\n",
    )
    .unwrap();
    let [first, second, third] = config.select.as_slice() else { panic!("{config:?}") };
    let (first, second) = (first.settings.as_ref().unwrap(), second.settings.as_ref().unwrap());
    assert_eq!(third.settings, None);

    assert_eq!(first.service_name.as_deref(), Some("top"));
    let tier = Attribute { key: "tier".into(), value: Value::Integer(1) };
    assert_eq!(first.policy.attributes, [tier, text("team", "shop")], "attributes are added");
    assert_eq!(first.policy.headers.request, HeaderNames::new(["x-shop"]).unwrap());
    assert_eq!(first.policy.headers.response, HeaderNames::new(["x-top"]).unwrap());
    assert_eq!(first.policy.sampler, Sampler::parse("traceidratio", Some("0.1")).unwrap());
    assert_eq!(first.export, None);

    assert_eq!(second.service_name.as_deref(), Some("shop"));
    assert_eq!(second.policy.routes, Routes::new(["/shop"]).unwrap());
    assert_eq!(second.policy.sampler, Sampler::parse("always_on", None).unwrap());
    assert_eq!(second.policy.attributes, config.policy.attributes);
    assert_eq!(second.export, Some(vec![]), "nowhere");
}

#[test]
fn variables_lie_under_settings_as_the_file_does() {
    let file = "select: [{ pid: 1, settings: { service_name: shop } }]\nforwarded: true";
    let environment = [("SPANDREL_FORWARDED", "false"), ("SPANDREL_SERVICE_NAME", "top")];
    let config = load_with(file, &environment).unwrap();
    let settings = config.select[0].settings.as_ref().unwrap();
    assert!(!settings.policy.forwarded);
    assert_eq!(settings.service_name.as_deref(), Some("shop"));
}

#[test]
fn the_values_of_export_headers_are_not_printed() {
    let file = "select: [{ pid: 1, settings: { export_headers: { authorization: Bearer hunter2 } } }]";
    let config = load(file).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
