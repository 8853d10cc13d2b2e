//! Lets hyper start tasks on the core that it runs on; nothing of a connection ever leaves its core.

use std::future::Future;

use hyper::rt::Executor;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalTasks;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
