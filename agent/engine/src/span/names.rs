//! Every name that spans are exported with: OpenTelemetry's semantic conventions, and ours. An upgrade of the
//! conventions is a change of this file.

/// The conventions that spans and Resources follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";

pub const ERROR_TYPE: &str = "error.type";
pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
/// The name of the field, in lower case, follows.
pub const HTTP_REQUEST_HEADER: &str = "http.request.header.";
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
/// The name of the field, in lower case, follows.
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header.";
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub const HTTP_ROUTE: &str = "http.route";
pub const CLIENT_ADDRESS: &str = "client.address";
pub const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
pub const NETWORK_LOCAL_PORT: &str = "network.local.port";
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
/// Not of HTTP, whose default it is.
pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
pub const NETWORK_TRANSPORT: &str = "network.transport";
pub const NETWORK_TYPE: &str = "network.type";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";
pub const URL_FULL: &str = "url.full";
pub const URL_PATH: &str = "url.path";
pub const URL_QUERY: &str = "url.query";
pub const URL_SCHEME: &str = "url.scheme";
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";

pub const RPC_METHOD: &str = "rpc.method";
pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
/// The key of the metadata follows.
pub const RPC_REQUEST_HEADER: &str = "rpc.request.header.";
/// The key of the metadata follows: what is sent before the messages.
pub const RPC_RESPONSE_HEADER: &str = "rpc.response.header.";
/// The key of the metadata follows: what is sent behind the messages.
pub const RPC_RESPONSE_TRAILER: &str = "rpc.response.trailer.";
pub const RPC_STATUS_CODE: &str = "rpc.status_code";
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";

/// How the parent was found: `connection`, `header` or `reader`.
pub const LINK_METHOD: &str = "spandrel.link.method";
/// Why the end of the exchange is not known: see [`super::outcome`].
pub const INCOMPLETE: &str = "spandrel.incomplete";
/// How an exchange ended that neither succeeded nor failed: `cancelled`.
pub const END: &str = "spandrel.end";
/// Fields of the request are unknown: they refer to some that were sent before the agent was there, or in a gap.
pub const FIELDS_UNKNOWN: &str = "spandrel.fields_unknown";
/// Messages of a gRPC call, as seen from the span's process.
pub const RPC_MESSAGES_SENT: &str = "spandrel.rpc.messages.sent";
pub const RPC_MESSAGES_RECEIVED: &str = "spandrel.rpc.messages.received";
/// The request target went on beyond what is exported.
pub const TARGET_TRUNCATED: &str = "spandrel.target_truncated";

/// Event: an informational response, with its status code.
pub const EVENT_INFORMATIONAL: &str = "spandrel.informational";
/// Event: the connection was reset, or the stream.
pub const EVENT_RESET: &str = "spandrel.reset";
/// Of that event: the error code of HTTP/2's RST_STREAM by its name.
pub const RESET_CODE: &str = "spandrel.reset.code";
/// Event: bytes of the exchange were not captured.
pub const EVENT_GAP: &str = "spandrel.gap";
/// Event: the first byte of the response; only if asked for.
pub const EVENT_FIRST_BYTE: &str = "spandrel.first_byte";

/// Of Resources.
pub const CONTAINER_ID: &str = "container.id";
pub const HOST_ARCH: &str = "host.arch";
pub const HOST_ID: &str = "host.id";
pub const HOST_NAME: &str = "host.name";
pub const OS_TYPE: &str = "os.type";
pub const PROCESS_COMMAND_ARGS: &str = "process.command_args";
pub const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
pub const PROCESS_EXECUTABLE_PATH: &str = "process.executable.path";
pub const PROCESS_PID: &str = "process.pid";
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
pub const SERVICE_NAME: &str = "service.name";
pub const TELEMETRY_DISTRO_NAME: &str = "telemetry.distro.name";
pub const TELEMETRY_DISTRO_VERSION: &str = "telemetry.distro.version";

/// What OTLP has fields for and other formats have not, the older names included
/// (<https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/>).
pub const OTEL_LIBRARY_NAME: &str = "otel.library.name";
pub const OTEL_LIBRARY_VERSION: &str = "otel.library.version";
pub const OTEL_SCOPE_NAME: &str = "otel.scope.name";
pub const OTEL_SCOPE_VERSION: &str = "otel.scope.version";
pub const OTEL_STATUS_CODE: &str = "otel.status_code";
