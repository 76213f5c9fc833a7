//! Calls of a client, some at a time: what the peers in Rust share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::JoinSet;

/// Makes `count` calls, numbered from 0, by so many tasks.
pub(crate) async fn at_a_time<C, F>(
    tasks: usize,
    count: usize,
    client: &C,
    call: impl Fn(C, usize) -> F + Clone + Send + 'static,
) where
    C: Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (next, client, call) = (Arc::clone(&next), client.clone(), call.clone());
        running.spawn(async move {
            while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&index| index < count)
            {
                call(client.clone(), index).await;
            }
        });
    }
    running.join_all().await;
}
