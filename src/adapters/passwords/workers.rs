//! The threads that hash passwords: one per core, all of the lowest priority.
//!
//! An idle thread stays for a while and keeps its memory. Allocating and freeing 19 MiB for each password would cost as
//! much again, and stall other threads: the kernel's lock for it belongs to the whole process, and a thread of low
//! priority would hold it. While there is work, a thread takes the next task by itself: Linux lets a thread that was
//! woken run for a while before it preempts it, whatever their priorities.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use argon2::Block;
use tokio::{sync::oneshot, time::timeout};

use crate::domain::gateway::services::ports::HashingError;

/// How long a caller waits for its password to be hashed, the queue included. Then it is told to retry.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The memory for one hash. It still holds the previous one.
pub(super) type Memory = Vec<Block>;

/// A pool of threads.
pub(super) struct Workers {
    at_once: usize,
    stay: Duration,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    threads: usize,
    /// How many threads are idle, or notified of a task but not awake yet.
    idle: usize,
}

type Task = Box<dyn FnOnce(&mut Memory) + Send>;

impl Workers {
    /// Runs at most `at_once` threads. An idle thread ends after `stay`.
    pub(super) fn new(at_once: usize, stay: Duration) -> Self {
        Self { at_once, stay, queue: Arc::default() }
    }

    /// Queues the work and awaits its result. Work is skipped if its caller has given up by then.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let (done, outcome) = oneshot::channel();
        self.give(Box::new(move |memory| {
            if !done.is_closed() {
                // The caller may have given up meanwhile.
                let _ = done.send(work(memory));
            }
        }))?;
        match timeout(LONGEST_WAIT, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(HashingError::Broken("it ended early".into())),
            Err(_) => Err(HashingError::Overloaded),
        }
    }

    /// Hands a task to an idle thread, to a new one, or to the first that gets free.
    fn give(&self, task: Task) -> Result<(), HashingError> {
        let mut state = self.queue.lock();
        state.tasks.push_back(task);
        if state.tasks.len() <= state.idle {
            self.queue.more.notify_one();
        } else if state.threads < self.at_once {
            let (queue, stay) = (self.queue.clone(), self.stay);
            let begun = thread::Builder::new().name("password".into()).spawn(move || queue.serve(stay));
            begun.map_err(|error| HashingError::Broken(error.to_string()))?;
            state.threads += 1;
        }
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of a thread.
    fn serve(&self, stay: Duration) {
        lower_priority();
        let mut memory = Memory::new();
        while let Some(task) = self.next(stay) {
            // A panic drops the sender, which tells the caller.
            let _ = catch_unwind(AssertUnwindSafe(|| task(&mut memory)));
        }
    }

    /// The next task, or none after an idle time of `stay`: the thread is then no longer counted.
    fn next(&self, stay: Duration) -> Option<Task> {
        let mut state = self.lock();
        if let Some(task) = state.tasks.pop_front() {
            return Some(task);
        }
        state.idle += 1;
        let waited = self.more.wait_timeout_while(state, stay, |state| state.tasks.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let task = state.tasks.pop_front();
        if task.is_none() {
            state.threads -= 1;
        }
        task
    }
}

/// Hashing a password takes a core for longer than a hundred requests. These threads have a hundredth of the scheduling
/// weight of those that serve requests: with all cores busy, only password hashing slows down. Other systems than Linux
/// have no weights for threads.
#[cfg(target_os = "linux")]
fn lower_priority() {
    // On Linux this sets the thread's priority. A failure changes only the weight.
    let _ = rustix::process::setpriority_process(None, 19);
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(at_once: usize) -> Workers {
        Workers::new(at_once, Duration::from_secs(10))
    }

    #[tokio::test]
    async fn as_many_are_at_work_at_once_as_may_and_no_more() {
        let (workers, most) = (Arc::new(workers(2)), Arc::new(Mutex::new((0, 0))));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (workers, most) = (workers.clone(), most.clone());
            all.spawn(async move {
                let change = |by: i32, most: &Mutex<(i32, i32)>| {
                    let mut most = most.lock().unwrap();
                    most.0 += by;
                    most.1 = most.1.max(most.0);
                };
                let work = move |_: &mut Memory| {
                    change(1, &most);
                    thread::sleep(Duration::from_millis(5));
                    change(-1, &most);
                    Ok(())
                };
                workers.run(work).await.unwrap();
            });
        }
        all.join_all().await;
        assert_eq!(*most.lock().unwrap(), (0, 2));
        assert_eq!(workers.queue.lock().threads, 2);
    }

    #[tokio::test]
    async fn a_thread_and_its_memory_serve_again() {
        let workers = workers(1);
        let use_it = |memory: &mut Memory| {
            let found = memory.len();
            memory.resize(found + 1, Block::new());
            Ok((thread::current().id(), found))
        };
        let first = workers.run(use_it).await.unwrap();
        for n in 1..5 {
            assert_eq!(workers.run(use_it).await.unwrap(), (first.0, n));
        }
    }

    #[tokio::test]
    async fn a_thread_without_work_ends_and_another_takes_its_place() {
        let workers = Workers::new(1, Duration::from_millis(20));
        let first = workers.run(|_| Ok(thread::current().id())).await.unwrap();
        while workers.queue.lock().threads > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_ne!(workers.run(|_| Ok(thread::current().id())).await.unwrap(), first);
    }

    #[tokio::test]
    async fn tasks_that_meet_a_thread_on_its_way_out_are_done() {
        let workers = Workers::new(1, Duration::from_micros(1));
        for n in 0..2000 {
            assert_eq!(workers.run(move |_| Ok(n)).await, Ok(n));
        }
    }

    #[tokio::test]
    async fn work_that_panics_is_broken_and_takes_no_thread_with_it() {
        let workers = workers(1);
        let outcome: Result<(), _> = workers.run(|_| panic!("on purpose")).await;
        assert!(matches!(outcome, Err(HashingError::Broken(_))), "{outcome:?}");
        assert_eq!(workers.run(|_| Ok(7)).await, Ok(7));
    }

    /// Keeps the only thread busy until the sender is used.
    fn occupy(workers: &Arc<Workers>) -> std::sync::mpsc::Sender<()> {
        let (go_on, told) = std::sync::mpsc::channel();
        let workers = workers.clone();
        tokio::spawn(async move {
            let waiting = move |_: &mut Memory| {
                // Signalled, or dropped.
                let _ = told.recv();
                Ok(())
            };
            workers.run(waiting).await
        });
        go_on
    }

    #[tokio::test]
    async fn tasks_run_in_order_and_abandoned_tasks_are_skipped() {
        let workers = Arc::new(workers(1));
        let go_on = occupy(&workers);
        tokio::task::yield_now().await;
        let done = Arc::new(Mutex::new(Vec::new()));
        let task = |n: u8| {
            let (workers, done) = (workers.clone(), done.clone());
            tokio::spawn(async move {
                let work = move |_: &mut Memory| {
                    done.lock().unwrap().push(n);
                    Ok(())
                };
                workers.run(work).await
            })
        };
        let mut all = Vec::new();
        for n in 0..4 {
            all.push(task(n));
            tokio::task::yield_now().await;
        }
        all.remove(1).abort();
        tokio::task::yield_now().await;
        assert!(done.lock().unwrap().is_empty());
        go_on.send(()).unwrap();
        for one in all {
            assert_eq!(one.await.unwrap(), Ok(()));
        }
        assert_eq!(*done.lock().unwrap(), [0, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_too_long_fails_as_overloaded() {
        let workers = Arc::new(workers(1));
        let _go_on = occupy(&workers);
        tokio::task::yield_now().await;
        assert_eq!(workers.run(|_| Ok(())).await, Err(HashingError::Overloaded));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn they_give_way_and_nothing_else_does() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(workers(1).run(move |_| Ok(priority())).await, Ok(19));
        assert_eq!(priority(), before);
    }
}
