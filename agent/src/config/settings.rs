//! Settings: how the processes of one selector are treated, and what the top of the file says of all others.

use std::sync::Arc;

use engine::policy::{Headers, Methods, Policy, Routes};
use serde::Deserialize;

use super::{
    file::{File, HeadersFile},
    sampler::{SamplerArgument, SamplerName, sampler},
    value::{Attributes, ExportHeaders, List, Name, Parsed},
};
use crate::export::{self, Destination};

/// What `settings` of a selector may set. A key replaces the one at the top of the file; attributes are added to those.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingsFile {
    service_name: Option<Parsed<Name>>,
    attributes: Option<Attributes>,
    headers: HeadersFile,
    routes: Option<List<Routes>>,
    sampler: Option<Parsed<SamplerName>>,
    sampler_argument: Option<Parsed<SamplerArgument>>,
    export: Option<List<Vec<Destination>>>,
    export_headers: Option<ExportHeaders>,
}

/// How the processes of a selector are treated.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub policy: Arc<Policy>,
    pub service_name: Option<Box<str>>,
    /// `None`: to the destinations of all others.
    pub export: Option<Vec<Destination>>,
    /// For the requests to these destinations.
    pub export_headers: export::Headers,
}

impl SettingsFile {
    /// What these are with the top of the file under them.
    pub(super) fn resolve(self, top: &File, methods: &Methods) -> Settings {
        let mut file = top.clone();
        if let Some(own) = self.attributes {
            file.attributes = Some(own.over(&file.attributes.unwrap_or_default()));
        }
        file.headers = self.headers.over(file.headers);
        file.routes = self.routes.or(file.routes);
        file.sampler = self.sampler.or(file.sampler);
        file.sampler_argument = self.sampler_argument.or(file.sampler_argument);
        file.service_name = self.service_name.or(file.service_name);
        Settings {
            policy: Arc::new(policy(&file, methods)),
            service_name: file.service_name.map(|name| name.0.0),
            export: self.export.map(|list| list.0),
            export_headers: self.export_headers.unwrap_or_default().0,
        }
    }
}

/// What the keys of the file make of exchanges.
pub(super) fn policy(file: &File, methods: &Methods) -> Policy {
    let default = Policy::default();
    let Headers { request, response } = default.headers;
    let names = file.headers.clone();
    Policy {
        attributes: file.attributes.clone().map_or(default.attributes, |attributes| attributes.0),
        sampler: sampler(
            file.sampler.as_ref().map(|name| name.0),
            file.sampler_argument.as_ref().map(|argument| &argument.0),
        ),
        ignore: file.ignore.clone().map_or(default.ignore, |rules| rules.0),
        instrumented: file.instrumented.map_or(default.instrumented, |word| word.0.0),
        methods: methods.clone(),
        forwarded: file.forwarded.map_or(default.forwarded, |switch| switch.0.0),
        routes: file.routes.clone().map_or(default.routes, |list| list.0),
        headers: Headers {
            request: names.request.map_or(request, |list| list.0),
            response: names.response.map_or(response, |list| list.0),
        },
        opt_in: file.opt_in.clone().map_or(default.opt_in, |list| list.0),
        redact: file.redact_query.clone().map_or(default.redact, |list| list.0),
    }
}
