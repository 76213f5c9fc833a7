//! What few exchanges have, or few operators ask for: one pointer in all others.

use super::kept::Kept;
use crate::event::Time;

#[derive(Debug, Default)]
pub(crate) struct Details {
    /// Sizes of bodies that were seen to their end.
    pub(crate) request_body: Option<u64>,
    pub(crate) response_body: Option<u64>,
    /// Informational responses: when and which.
    pub(crate) informational: Vec<(Time, u16)>,
    pub(crate) first_byte: Option<Time>,
    /// Fields of the response.
    pub(crate) headers: Kept,
    /// Of a gRPC call, those behind its messages.
    pub(crate) trailers: Kept,
}
