//! The network between servers, which can be cut.
//!
//! What one server sends to another goes through here. Whoever has dialled tells its name with the first that it says, so it is known who is at
//! both ends. What is sent while the network is cut arrives once it is mended, as it does where packets are lost and sent again.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// What stands before the name of a server in what it says of itself.
const NAME: &[u8] = br#""server_name":""#;

/// A network without cuts, at first. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network(Arc<Cuts>);

/// The names of those who are cut off from all others.
#[derive(Debug, Default)]
struct Cuts {
    off: Mutex<HashSet<String>>,
    mended: Condvar,
}

/// Who is at the ends of a connection.
struct Ends {
    to: String,
    from: OnceLock<String>,
}

impl Network {
    /// A way to the server of this name, which listens on this port: the port on which others dial it.
    pub(crate) fn way_to(&self, name: &str, port: u16) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of the loopback");
        let dialled = listener.local_addr().expect("it is bound").port();
        let (network, name) = (self.clone(), name.to_owned());
        thread::spawn(move || {
            for from in listener.incoming().flatten() {
                // Without a server there, the connection breaks.
                if let Ok(to) = TcpStream::connect(("127.0.0.1", port)) {
                    network.connect(from, to, &name);
                }
            }
        });
        dialled
    }

    pub(crate) fn cut_off(&self, name: &str) {
        self.off().insert(name.to_owned());
    }

    pub(crate) fn mend(&self) {
        self.off().clear();
        self.0.mended.notify_all();
    }

    fn off(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, from: TcpStream, to: TcpStream, name: &str) {
        let ends = Arc::new(Ends { to: name.to_owned(), from: OnceLock::new() });
        let others = (from.try_clone(), to.try_clone());
        let (Ok(answered), Ok(answers)) = others else { return };
        let (network, of_answers) = (self.clone(), Arc::clone(&ends));
        thread::spawn(move || network.pass_on(answers, answered, &of_answers, false));
        let network = self.clone();
        thread::spawn(move || network.pass_on(from, to, &ends, true));
    }

    /// Until one of the two ends the connection.
    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, ends: &Ends, tells_name: bool) {
        let (mut said, mut so_far) = (vec![0; 1 << 16], Vec::new());
        while let Ok(length @ 1..) = from.read(&mut said) {
            let said = &said[..length];
            if tells_name && ends.from.get().is_none() {
                so_far.extend_from_slice(said);
                if let Some(name) = name_in(&so_far) {
                    let _ = ends.from.set(name);
                    so_far = Vec::new();
                }
            }
            self.wait_while_cut(ends);
            if to.write_all(said).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    fn wait_while_cut(&self, ends: &Ends) {
        let is_cut = |off: &mut HashSet<String>| {
            off.contains(&ends.to) || ends.from.get().is_some_and(|from| off.contains(from))
        };
        let waited = self.0.mended.wait_while(self.off(), is_cut);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn name_in(said: &[u8]) -> Option<String> {
    let begin = said.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let length = said[begin..].iter().position(|byte| *byte == b'"')?;
    String::from_utf8(said[begin..begin + length].to_vec()).ok()
}
