//! Every attribute name that is exported: OpenTelemetry's semantic conventions 1.42, and ours.

pub const ERROR_TYPE: &str = "error.type";
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub const CLIENT_ADDRESS: &str = "client.address";
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";
pub const URL_FULL: &str = "url.full";
pub const URL_PATH: &str = "url.path";
pub const URL_QUERY: &str = "url.query";
pub const URL_SCHEME: &str = "url.scheme";
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";

/// How the parent was found: `connection`, `header` or `reader`.
pub const LINK_METHOD: &str = "spandrel.link.method";
/// Why the end of the exchange is not known: see [`super::outcome`].
pub const INCOMPLETE: &str = "spandrel.incomplete";
/// The request target went on beyond what is exported.
pub const TARGET_TRUNCATED: &str = "spandrel.target_truncated";
