//! gRPC-Web calls: their messages, and the trailers in the content of a response (gRPC Web, Protocol differences vs gRPC
//! over HTTP2).
//!
//! The prefixes of messages and the trailers are read, and no more. A gap anywhere but inside of a message leaves the
//! rest unknown, and the status with it.

use super::{Exchange, Http1};
use crate::protocol::{
    Number, Observer,
    http2::grpc::{Content, Messages},
};

/// What an exchange is whose request is a call's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) content: Content,
    /// Messages of the request, as far as is known.
    asked: Option<u64>,
}

impl Http1 {
    /// The content of a request begins, whose head says that it is of this type.
    pub(super) fn expect_messages(&mut self, content: Option<Content>) {
        let Some(content) = content.filter(|content| *content != Content::Other) else { return };
        let current = self.current;
        if let Some(exchange) = self.open.back_mut().filter(|exchange| exchange.number == current) {
            exchange.call = Some(Call { content, asked: None });
            self.requests.messages = Some(Messages::of(content));
        }
    }

    /// No more is read of the request of this number.
    pub(super) fn keep_messages(&mut self, current: Option<Number>) {
        let exchange = self.open.iter_mut().find(|exchange| exchange.number == current);
        if let Some(call) = exchange.and_then(|exchange| exchange.call.as_mut())
            && let Some(messages) = self.requests.messages.take()
        {
            call.asked = messages.count();
        }
    }
}

impl Exchange {
    /// `messages`: those of the response, if it has begun.
    pub(super) fn tell_messages(&self, number: Number, messages: Option<Messages>, out: &mut dyn Observer) {
        let Some(call) = &self.call else { return };
        if let Some(messages) = &messages {
            messages.tell_trailers(number, out);
        }
        out.messages(number, call.asked, messages.and_then(|messages| messages.count()));
    }
}
