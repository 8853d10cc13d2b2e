//! The threads that hash passwords: no more at once than there are cores, and each gives way to whatever else wants the
//! processor. One that has nothing to do stays for a while, with the memory that it hashed in. To take and give back 19 MiB for
//! each password would cost as much again, and keep other threads waiting: what the kernel locks for it belongs to the whole
//! process, and is held by a thread that gives way.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use argon2::Block;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use crate::domain::gateway::services::ports::HashingError;

/// How long a password waits for its turn before its owner is told to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a password is hashed in. It holds what the last one left.
pub(super) type Memory = Vec<Block>;

/// Hashes, in turn.
pub(super) struct Workers {
    pub(super) turns: Arc<Semaphore>,
    idle: Arc<Idle>,
    stay: Duration,
}

/// Something to do, and the right to do it now.
struct Task {
    job: Box<dyn FnOnce(&mut Memory) + Send>,
    turn: OwnedSemaphorePermit,
}

/// The threads that wait for something to do, the last one to come on top. Whoever takes one off has to give it a task.
#[derive(Default)]
struct Idle(Mutex<Vec<(thread::ThreadId, mpsc::Sender<Task>)>>);

impl Workers {
    /// So many at once. A thread without work ends after `stay`.
    pub(super) fn new(at_once: usize, stay: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once)), idle: Arc::default(), stay }
    }

    /// Does work when its turn has come. It is not begun if nobody waits for it any more by then.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let Ok(Ok(turn)) = timeout(LONGEST_WAIT, self.turns.clone().acquire_owned()).await else {
            return Err(HashingError::Overloaded);
        };
        let (done, outcome) = oneshot::channel();
        let job = Box::new(move |memory: &mut Memory| {
            // Nobody may be waiting any more.
            let _ = done.send(work(memory));
        });
        self.give(Task { job, turn })?;
        outcome.await.unwrap_or_else(|_| Err(HashingError::Broken("the thread ended early".into())))
    }

    /// To a thread that has nothing to do, or to a new one.
    fn give(&self, task: Task) -> Result<(), HashingError> {
        let waiting = self.idle.lock().pop();
        let task = match waiting {
            // A thread that waits does not end before it took itself off the list.
            Some((_, waiting)) => match waiting.send(task) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(task)) => task,
            },
            None => task,
        };
        let (idle, stay) = (self.idle.clone(), self.stay);
        let begun = thread::Builder::new().name("password".into()).spawn(move || serve(task, &idle, stay));
        begun.map(|_| ()).map_err(|error| HashingError::Broken(error.to_string()))
    }
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<(thread::ThreadId, mpsc::Sender<Task>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread was still waiting; it is off the list.
    fn leave(&self, id: thread::ThreadId) -> bool {
        let mut waiting = self.lock();
        let before = waiting.len();
        waiting.retain(|(other, _)| *other != id);
        waiting.len() < before
    }
}

/// What a thread does from its first task on.
fn serve(first: Task, idle: &Idle, stay: Duration) {
    give_way();
    let (id, mut memory) = (thread::current().id(), Memory::new());
    let (sender, tasks) = mpsc::channel();
    let mut next = Some(first);
    while let Some(Task { job, turn }) = next {
        job(&mut memory);
        // Before the turn is over: whoever has it next is to find this thread.
        idle.lock().push((id, sender.clone()));
        drop(turn);
        next = match tasks.recv_timeout(stay) {
            Ok(task) => Some(task),
            Err(_) if idle.leave(id) => None,
            // Somebody was faster, and the task is on its way.
            Err(_) => tasks.recv().ok(),
        };
    }
}

/// A password takes a core for longer than a hundred requests. These threads have a hundredth of the weight of those that
/// serve requests, so with all cores busy it is passwords that get slower. Elsewhere than on Linux a thread has no weight of
/// its own.
#[cfg(target_os = "linux")]
fn give_way() {
    // For Linux this is the thread. That it is refused changes nothing but the weight.
    let _ = rustix::process::setpriority_process(None, 19);
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(at_once: usize) -> Workers {
        Workers::new(at_once, Duration::from_secs(10))
    }

    #[tokio::test]
    async fn no_more_are_at_work_at_once_than_may() {
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
                workers.in_turn(work).await.unwrap();
            });
        }
        all.join_all().await;
        assert_eq!(*most.lock().unwrap(), (0, 2));
        assert!(workers.idle.lock().len() <= 2);
    }

    #[tokio::test]
    async fn a_thread_and_its_memory_serve_again() {
        let workers = workers(1);
        let use_it = |memory: &mut Memory| {
            let found = memory.len();
            memory.resize(found + 1, Block::new());
            Ok((thread::current().id(), found))
        };
        let first = workers.in_turn(use_it).await.unwrap();
        for n in 1..5 {
            assert_eq!(workers.in_turn(use_it).await.unwrap(), (first.0, n));
        }
    }

    #[tokio::test]
    async fn a_thread_without_work_ends_and_another_takes_its_place() {
        let workers = Workers::new(1, Duration::from_millis(20));
        let first = workers.in_turn(|_| Ok(thread::current().id())).await.unwrap();
        while !workers.idle.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_ne!(workers.in_turn(|_| Ok(thread::current().id())).await.unwrap(), first);
    }

    #[tokio::test]
    async fn tasks_that_meet_a_thread_on_its_way_out_are_done() {
        let workers = Workers::new(1, Duration::from_micros(1));
        for n in 0..2000 {
            assert_eq!(workers.in_turn(move |_| Ok(n)).await, Ok(n));
        }
    }

    #[tokio::test]
    async fn work_that_panics_is_broken_and_takes_no_turn_with_it() {
        let workers = workers(1);
        let outcome: Result<(), _> = workers.in_turn(|_| panic!("on purpose")).await;
        assert!(matches!(outcome, Err(HashingError::Broken(_))), "{outcome:?}");
        assert_eq!(workers.in_turn(|_| Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn whoever_waits_for_a_turn_is_not_served_before_it_comes() {
        let workers = Arc::new(workers(2));
        let all = workers.turns.clone().acquire_many_owned(2).await.unwrap();
        let waiting = tokio::spawn({
            let workers = workers.clone();
            async move { workers.in_turn(|_| Ok(())).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        drop(all);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_too_long_is_told_so() {
        let workers = workers(2);
        workers.turns.forget_permits(2);
        assert_eq!(workers.in_turn(|_| Ok(())).await, Err(HashingError::Overloaded));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn they_give_way_and_nothing_else_does() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(workers(1).in_turn(move |_| Ok(priority())).await, Ok(19));
        assert_eq!(priority(), before);
    }
}
