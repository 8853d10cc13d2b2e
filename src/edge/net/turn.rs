//! Fair scheduling on a core: a task that has moved enough bytes yields to the others.

use std::{future::Future, pin::pin, task::Context};

/// How many bytes a connection moves before it yields. A large transfer would otherwise move tens of megabytes at once,
/// while small requests of the same core wait.
pub(crate) const TURN_BYTES: usize = 256 * 1024;

/// Schedules the task again after all other ready tasks, and after the sockets were polled for new events.
pub(crate) fn end_turn(context: &mut Context<'_>) {
    // It wakes the task even though it is dropped at once.
    let _ = pin!(tokio::task::yield_now()).poll(context);
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc, task::Poll};

    use tokio::{
        io::AsyncReadExt,
        net::{TcpListener, TcpStream},
        task::LocalSet,
    };

    use super::*;

    #[tokio::test]
    async fn between_two_polls_of_a_yielding_task_all_others_are_polled() {
        // More than the runtime polls before it checks the sockets by itself.
        const TURNS: usize = 10_000;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let (turns, local) = (Rc::new(Cell::new(0)), LocalSet::new());
        let counted = Rc::clone(&turns);
        local.spawn_local(std::future::poll_fn(move |context| {
            counted.set(counted.get() + 1);
            if counted.get() == 2 {
                other.try_write(b"a").unwrap();
            }
            if counted.get() == TURNS {
                return Poll::Ready(());
            }
            end_turn(context);
            Poll::Pending
        }));
        let seen = Rc::clone(&turns);
        let read = local.run_until(async move {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
            seen.get()
        });
        // The reader sees written bytes at the next poll, or the one after that.
        assert!((2..=4).contains(&read.await), "{} turns", turns.get());
    }
}
