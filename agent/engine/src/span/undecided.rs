//! The attributes of a span that is HTTP's or gRPC's, nobody knows which: the content type of the request is one of its
//! unknown fields, and nothing else decides ([`crate::exchange::rpc`]). It says what is true of both, and has neither
//! `http.*` nor `rpc.*`. A status code that is an error of HTTP is one of gRPC too.

use std::borrow::Cow;

use super::{attributes::List, names, redact, rpc, target::Target};
use crate::{exchange::Head, policy::Policy};

/// Adds what is known; returns the span's name.
pub(super) fn describe(list: &mut List, head: &Head, policy: &Policy) -> Cow<'static, str> {
    let target = Target::of(head);
    if let Some(path) = target.rooted() {
        list.text(names::URL_PATH, redact::path(path, head.target_truncated && target.query.is_none()));
    }
    if let Some(query) = target.query {
        list.text(names::URL_QUERY, redact::query(query, &policy.redact, head.target_truncated));
    }
    rpc::address(list, head);
    rpc::protocol(list, head);
    Cow::Borrowed("HTTP")
}
