//! Calls that do not end well, or only just. What the client makes of each is written: `ended NUMBER CODE`.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::Notify, time::sleep};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};

use super::{Client, at_a_time};

type Answers<S> = Result<Response<S>, Status>;

/// Answers with what it was sent, unless that is nothing, and no more while the call lasts.
pub(crate) async fn wait(request: Request<Bytes>) -> Answers<impl Stream<Item = Result<Bytes, Status>>> {
    let message = Some(request.into_inner()).filter(|message| !message.is_empty());
    Ok(Response::new(tokio_stream::iter(message.map(Ok)).chain(tokio_stream::pending())))
}

pub(crate) async fn stop(request: Request<Bytes>) -> Answers<impl Stream<Item = Result<Bytes, Status>>> {
    tokio::spawn(async {
        sleep(Duration::from_millis(100)).await;
        // A server that is told to stop finishes its calls first.
        std::process::exit(0);
    });
    wait(request).await
}

pub(crate) async fn drain(
    request: Request<Bytes>,
    over: Arc<Notify>,
) -> Answers<impl Stream<Item = Result<Bytes, Status>>> {
    over.notify_one();
    let message = request.into_inner();
    let last = tokio_stream::once(message.clone()).then(|message| async move {
        sleep(Duration::from_millis(300)).await;
        Ok(message)
    });
    Ok(Response::new(tokio_stream::once(Ok(message)).chain(last)))
}

/// What the client does when an answer is there.
#[derive(Clone, Copy)]
enum Answered {
    Nothing,
    Cancel,
    Say,
}

/// What is done while a call lasts. A client of tonic waits for the head of an answer no longer than its timeout, and as
/// long as it likes for the rest: what ends a call that goes on is the program.
#[derive(Clone, Copy)]
struct During {
    timeout: Option<Duration>,
    cancelled_after: Option<Duration>,
    answered: Answered,
}

impl During {
    fn answered(answered: Answered) -> Self {
        Self { timeout: None, cancelled_after: None, answered }
    }

    fn within(milliseconds: usize, answered: Answered) -> Self {
        let timeout = Some(Duration::from_millis(milliseconds as u64));
        Self { timeout, ..Self::answered(answered) }
    }
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

fn text(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "" } else { "x" }
}

impl Client {
    async fn end(&self, method: &str, number: String, text: &'static str, during: During) {
        let mut request = self.request(&number, Bytes::from(text));
        if let Some(timeout) = during.timeout {
            request.set_timeout(timeout);
        }
        let answers = async {
            let mut answers = self.answers(method, request).await?;
            while answers.message().await?.is_some() {
                match during.answered {
                    Answered::Nothing => {}
                    Answered::Cancel => return Err(Status::cancelled("as asked")),
                    Answered::Say => println!("open"),
                }
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = answers => ended,
            () = after(during.timeout) => Err(Status::deadline_exceeded("as asked")),
            () = after(during.cancelled_after) => Err(Status::cancelled("as asked")),
        };
        println!("ended {number} {}", name(ended.map_or_else(|status| status.code(), |()| Code::Ok)));
    }

    pub(crate) async fn endings(self) {
        self.end("Status", "w0".to_owned(), "0", During::answered(Answered::Nothing)).await;
        tokio::join!(
            at_a_time(10, 50, &self, |client, n| async move {
                let during = During::within(20 + 10 * n, Answered::Nothing);
                client.end("Wait", format!("d{n}"), text(n), during).await;
            }),
            at_a_time(5, 20, &self, |client, n| async move {
                let cancelled = During::answered(Answered::Cancel);
                let during =
                    if n.is_multiple_of(2) { cancelled } else { During::within(10_000, Answered::Cancel) };
                client.end("Wait", format!("c{n}"), "x", during).await;
            }),
            at_a_time(5, 30, &self, |client, n| async move {
                let cancelled_after = Some(Duration::from_millis(190 - n as u64));
                let during = During { cancelled_after, ..During::within(200, Answered::Nothing) };
                client.end("Wait", format!("n{n}"), text(n), during).await;
            })
        );
    }

    /// One call after the other, as often as whoever answers has a way to.
    pub(crate) async fn answered(self) {
        for number in 0..16 {
            self.end("Status", format!("a{number}"), "0", During::answered(Answered::Nothing)).await;
        }
    }

    /// One call, of a method that ends its server or waits for that.
    pub(crate) async fn open(self, method: &str) {
        self.end(method, "o0".to_owned(), "x", During::answered(Answered::Say)).await;
    }
}

/// As gRPC's documents spell it.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}
