//! The same for several nodes at once.

use std::thread;

use crate::Error;

/// Does the same with all items at once, each in a thread of its own, and tells how each went, in their order.
pub fn together<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}

/// The first real error; an item that only stopped because another failed is not the news.
pub(crate) fn first_error(results: Vec<Result<(), Error>>) -> Result<(), Error> {
    let mut interrupted = Ok(());
    for result in results {
        match result {
            Err(error) if error.is_interruption() => interrupted = Err(error),
            other => other?,
        }
    }
    interrupted
}
