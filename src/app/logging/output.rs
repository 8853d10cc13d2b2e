//! Standard output behind a queue. A thread of its own writes the lines, so that a stalled reader (a stuck log shipper,
//! a stopped terminal) stalls only that thread. Lines that do not fit into the queue are dropped and counted.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use memchr::memchr_iter;

/// The maximum number of queued bytes. The writing thread may hold as many again.
const CAPACITY_BYTES: usize = 4 * 1024 * 1024;

/// How much memory an empty queue keeps for reuse.
const KEPT_BYTES: usize = 256 * 1024;

/// A queue of whole lines. Clones share it.
#[derive(Debug, Clone)]
pub struct LogOutput(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    /// Signals queued lines.
    filled: Condvar,
    /// Signals that all lines are written.
    emptied: Condvar,
    capacity_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    /// Lines dropped since the queue was last taken.
    dropped: u64,
    /// Whether the thread holds unwritten lines.
    is_writing: bool,
}

impl Default for LogOutput {
    fn default() -> Self {
        Self::with_capacity(CAPACITY_BYTES)
    }
}

impl LogOutput {
    fn with_capacity(capacity_bytes: usize) -> Self {
        Self(Arc::new(Queue {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            capacity_bytes,
        }))
    }

    /// Queues whole lines, or drops all of them. It never waits for the reader.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.0.state();
        if state.pending.len() + lines.len() > self.0.capacity_bytes {
            state.dropped += memchr_iter(b'\n', lines).count() as u64;
            return;
        }
        let was_empty = state.pending.is_empty();
        state.pending.extend_from_slice(lines);
        drop(state);
        if was_empty {
            self.0.filled.notify_one();
        }
    }

    /// Writes queued lines, for ever. `report` gets the number of dropped lines, each time after the lines before them
    /// were written.
    pub(super) fn write_to(&self, mut output: impl Write, report: impl Fn(u64)) {
        let mut lines = Vec::new();
        loop {
            let dropped = self.0.take(&mut lines);
            // There is no place to report a failure, and the next lines may get through.
            let _ = output.write_all(&lines).and_then(|()| output.flush());
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            if dropped > 0 {
                report(dropped);
            }
        }
    }

    /// The queued bytes.
    #[cfg(test)]
    pub(super) fn pending(&self) -> Vec<u8> {
        self.0.state().pending.clone()
    }

    /// Waits until all lines are written, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.0.state();
        while !state.pending.is_empty() || state.is_writing {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            state = self.0.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while this lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, and takes all of them. Returns how many were dropped after them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        state.is_writing = false;
        if state.pending.is_empty() {
            self.emptied.notify_all();
        }
        while state.pending.is_empty() {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(lines, &mut state.pending);
        state.is_writing = true;
        std::mem::take(&mut state.dropped)
    }
}

impl Write for LogOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A reader that blocks until released, and then passes on the bytes.
    struct StalledReader {
        go: Option<mpsc::Receiver<()>>,
        stalled: mpsc::Sender<()>,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Write for StalledReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(go) = self.go.take() {
                self.stalled.send(()).unwrap();
                go.recv().unwrap();
            }
            self.read.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time_and_is_told_once() {
        let output = LogOutput::with_capacity(100);
        let (go, told) = mpsc::channel();
        let (stalled, has_stalled) = mpsc::channel();
        let (read, received) = mpsc::channel();
        let (of_writer, notices) = (output.clone(), output.clone());
        thread::spawn(move || {
            of_writer.write_to(StalledReader { go: Some(told), stalled, read }, |dropped| {
                notices.push(format!("dropped {dropped}\n").as_bytes());
            });
        });
        output.push(b"first\n");
        has_stalled.recv_timeout(PATIENCE).unwrap();
        for number in 0..30 {
            output.push(format!("line {number:04}\n").as_bytes());
        }
        output.flush(Duration::from_millis(1));
        go.send(()).unwrap();
        output.flush(PATIENCE);
        output.push(b"last\n");
        output.flush(PATIENCE);
        let text = String::from_utf8(received.try_iter().flatten().collect()).unwrap();
        let kept: Vec<String> = (0..10).map(|number| format!("line {number:04}\n")).collect();
        assert_eq!(text, format!("first\n{}dropped 20\nlast\n", kept.concat()));
    }

    #[test]
    fn nothing_is_dropped_while_the_reader_keeps_up() {
        let output = LogOutput::with_capacity(1000);
        let (read, received) = mpsc::channel();
        let of_writer = output.clone();
        let (stalled, _) = mpsc::channel();
        thread::spawn(move || {
            of_writer.write_to(StalledReader { go: None, stalled, read }, |_| panic!("nothing was dropped"));
        });
        for number in 0..1000 {
            output.push(format!("{number}\n").as_bytes());
            output.flush(PATIENCE);
        }
        assert_eq!(received.try_iter().flatten().filter(|&byte| byte == b'\n').count(), 1000);
    }
}
