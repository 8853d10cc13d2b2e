//! A way to a server that can be cut, and that can lead to another server.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A way to a server.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// `None` if the way is cut.
    server: Option<SocketAddr>,
    open: Vec<TcpStream>,
    /// Whether the connections that are open now are silent.
    is_frozen: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { server: Some(server), open: Vec::new(), is_frozen: Arc::default() }));
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().unwrap();
                let Some(Ok(server)) = state.server.map(TcpStream::connect) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_frozen = state.is_frozen.clone();
                    thread::spawn(move || forward(from, to, &is_frozen));
                }
                state.open.push(client);
            }
        });
        Self { address, state }
    }

    /// Closes every connection, and new ones at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.server = None;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on nothing comes over the connections that are open, and they stay open: as if the server had vanished.
    pub(crate) fn freeze(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_frozen.store(true, Ordering::SeqCst);
        state.is_frozen = Arc::default();
    }

    /// From now on new connections lead to this server.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.state.lock().unwrap().server = Some(server);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_frozen: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while is_frozen.load(Ordering::SeqCst) {
            thread::park();
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
