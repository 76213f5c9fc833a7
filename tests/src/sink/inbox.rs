//! Inbox: a backend over HTTP that takes everything and keeps each request whole, with its headers.

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use super::export_request;
use crate::{
    http::{Connection, Message},
    span::{Span, from_request},
};

pub struct Inbox {
    port: u16,
    requests: Arc<Mutex<Vec<Message>>>,
}

impl Inbox {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind the inbox");
        let port = listener.local_addr().expect("address of the inbox").port();
        let requests = Arc::<Mutex<Vec<Message>>>::default();
        let shared = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&shared);
                // How a connection ends is the client's business.
                thread::spawn(move || drop(take(stream, &requests)));
            }
        });
        Self { port, requests }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans of all requests, which are OTLP.
    pub fn spans(&self) -> Vec<Span> {
        let export = |request: &Message| export_request(&request.body).expect("an export request");
        self.requests().iter().flat_map(|request| from_request(&export(request))).collect()
    }
}

fn take(stream: TcpStream, requests: &Mutex<Vec<Message>>) -> std::io::Result<()> {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.receive(false)? {
        requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}
