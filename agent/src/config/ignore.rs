//! `ignore`: which exchanges make no spans.

use engine::policy::{
    Ignore, Methods,
    ignore::{AgentPattern, PathGlob, Rule, Status},
};
use serde::{Deserialize, Deserializer, de};

use super::value::{Parsed, Port};

/// The value of `ignore`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct IgnoreRules(pub(super) Ignore);

impl<'de> Deserialize<'de> for IgnoreRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rules = Vec::<OneRule>::deserialize(deserializer)?;
        Ignore::new(rules.into_iter().map(|rule| rule.0).collect()).map(Self).map_err(de::Error::custom)
    }
}

struct OneRule(Rule);

impl<'de> Deserialize<'de> for OneRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            method: Option<Parsed<Method>>,
            path: Option<Parsed<PathGlob>>,
            user_agent: Option<Parsed<AgentPattern>>,
            status: Option<Parsed<Status>>,
            port: Option<Parsed<Port>>,
        }
        let Keys { method, path, user_agent, status, port } = Keys::deserialize(deserializer)?;
        let rule = Rule {
            method: method.map(|method| method.0.0),
            path: path.map(|path| path.0),
            user_agent: user_agent.map(|agent| agent.0),
            status: status.map(|status| status.0),
            port: port.map(|port| port.0.0),
        };
        // A list of this rule alone is refused if the rule is, and the error has the rule's place.
        Ignore::new(vec![rule.clone()]).map(|_| Self(rule)).map_err(de::Error::custom)
    }
}

struct Method(String);

impl std::str::FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Methods::new([text]).map_err(|error| error.to_string())?;
        if text.contains(|c: char| c.is_ascii_lowercase()) {
            let upper = text.to_ascii_uppercase();
            return Err(format!(
                "`{text}` is no method that servers know: did you mean `{upper}`? Case matters"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}
