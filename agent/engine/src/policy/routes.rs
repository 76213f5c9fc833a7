//! Routes: the patterns of paths that an operator configured, for `http.route`.
//!
//! | segment | matches |
//! |---|---|
//! | text | itself, byte for byte, as on the wire |
//! | `{name}` | one segment that is not empty |
//! | `{name...}` or `*`, as the last | all that follows the slash, which may be nothing |
//!
//! The first pattern that matches the whole path wins. A query is no part of a path.

use smallvec::SmallVec;
use thiserror::Error;

/// Patterns: each server span looks at them one after the other.
const ROUTES_MAX: usize = 1000;
/// Segments of a pattern: so many of a path are looked at.
const SEGMENTS_MAX: usize = 64;

/// Patterns, ready to be matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    routes: Box<[Route]>,
    /// Segments of the longest.
    longest: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    pattern: Box<str>,
    segments: Box<[Segment]>,
    /// Anything may follow the segments.
    rest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(Box<[u8]>),
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    #[error("the route `{0}` does not begin with `/`: write it as `/users/{{id}}`")]
    NoSlash(String),
    #[error(
        "`{segment}` in the route `{route}` is neither text nor a whole `{{name}}`: write a parameter as a segment of its own, `/users/{{id}}`"
    )]
    Segment { route: String, segment: String },
    #[error("`{segment}` in the route `{route}` stands for all that follows: it has to be the last segment")]
    NotLast { route: String, segment: String },
    #[error("the route `{0}` has a `?` or `#`: routes match the path, without the query")]
    Query(String),
    #[error("the route `{0}` has more than {SEGMENTS_MAX} segments")]
    TooLong(String),
    #[error("{0} routes are more than the {ROUTES_MAX} that are looked through for each request")]
    TooMany(usize),
}

impl Routes {
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, RouteError> {
        let routes: Box<[Route]> =
            patterns.into_iter().map(|pattern| Route::new(pattern.as_ref())).collect::<Result<_, _>>()?;
        if routes.len() > ROUTES_MAX {
            return Err(RouteError::TooMany(routes.len()));
        }
        let longest = routes.iter().map(|route| route.segments.len()).max().unwrap_or_default();
        Ok(Self { routes, longest })
    }

    /// The pattern of this path.
    pub(crate) fn find(&self, path: &[u8]) -> Option<&str> {
        if self.routes.is_empty() {
            return None;
        }
        // One more shows that a path is longer than any pattern.
        let segments: SmallVec<[&[u8]; 16]> = path
            .strip_prefix(b"/")?
            .split(|&byte| byte == b'/')
            .take(self.longest.saturating_add(1))
            .collect();
        self.routes.iter().find(|route| route.matches(&segments)).map(|route| &*route.pattern)
    }
}

impl Route {
    fn new(pattern: &str) -> Result<Self, RouteError> {
        let route = || pattern.to_owned();
        let path = pattern.strip_prefix('/').ok_or_else(|| RouteError::NoSlash(route()))?;
        if pattern.contains(['?', '#']) {
            return Err(RouteError::Query(route()));
        }
        let mut segments = Vec::new();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            if part == "*" || name.is_some_and(|name| name.ends_with("...") && !name.contains(['{', '}'])) {
                if parts.peek().is_some() {
                    return Err(RouteError::NotLast { route: route(), segment: part.to_owned() });
                }
                return Ok(Self { pattern: pattern.into(), segments: segments.into(), rest: true });
            }
            let text = name.unwrap_or(part);
            if text.contains(['{', '}', '*']) || name == Some("") {
                return Err(RouteError::Segment { route: route(), segment: part.to_owned() });
            }
            segments.push(if name.is_some() { Segment::Any } else { Segment::Text(part.as_bytes().into()) });
            if segments.len() > SEGMENTS_MAX {
                return Err(RouteError::TooLong(route()));
            }
        }
        Ok(Self { pattern: pattern.into(), segments: segments.into(), rest: false })
    }

    fn matches(&self, path: &[&[u8]]) -> bool {
        let long_enough =
            if self.rest { path.len() > self.segments.len() } else { path.len() == self.segments.len() };
        long_enough
            && self.segments.iter().zip(path).all(|(segment, part)| match segment {
                Segment::Text(text) => **text == **part,
                Segment::Any => !part.is_empty(),
            })
    }
}
