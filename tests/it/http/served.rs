//! A server in this process, over a temporary folder.

use super::client::get;
use narthex::server::{Handle, ServeError, Server, Sources};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

/// A running server; stopped and closed when it is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Served {
    /// With these lines of configuration beside address and folder.
    pub(crate) fn new(settings: &str) -> Self {
        Self::over(tempfile::tempdir().expect("a temporary folder"), settings)
    }

    /// Over `folder`, whose `data` is the database.
    pub(crate) fn over(folder: tempfile::TempDir, settings: &str) -> Self {
        let config = folder.path().join("narthex.toml");
        write_config(&config, folder.path(), settings);
        let sources = Sources::file(&config);
        let server = Server::bind(sources.resolve().expect("a configuration"), sources).expect("a free port");
        let (address, handle) = (server.address(), server.handle());
        let thread = Builder::new().spawn(move || server.run()).expect("a thread");
        Self {
            address,
            folder,
            handle,
            thread: Some(thread),
        }
    }

    /// Returns once the database is open.
    pub(crate) fn ready(mut self) -> Self {
        wait_until("it is ready", || {
            if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                panic!("the server ended: {:?}", self.end());
            }
            get(self.plain_address(), "/-/ready").status == 200
        });
        self
    }

    /// Where this process reaches it, whatever it listens on.
    pub(crate) fn plain_address(&self) -> SocketAddr {
        SocketAddr::new([127, 0, 0, 1].into(), self.address.port())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration file of the running server.
    pub(crate) fn rewrite(&self, settings: &str) {
        write_config(&self.path("narthex.toml"), self.folder.path(), settings);
    }

    /// Stops it, and gives back the folder.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        self.end().expect("a clean end");
        let other = tempfile::tempdir().expect("a temporary folder");
        std::mem::replace(&mut self.folder, other)
    }

    /// Waits for the end of one that was told to end by other means.
    pub(crate) fn ended(mut self) -> Result<(), ServeError> {
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("the server does not panic")
    }

    fn end(&mut self) -> Result<(), ServeError> {
        self.handle.shutdown();
        match self.thread.take() {
            Some(thread) => thread.join().expect("the server does not panic"),
            None => Ok(()),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let ended = self.end();
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the file of an operator")]
fn write_config(path: &Path, folder: &Path, settings: &str) {
    let data = folder.join("data");
    // What has a `listen` of its own keeps it; keys without a table come first.
    let has_own = settings.lines().any(|line| line.starts_with("listen ="));
    let listen = if has_own { "" } else { "listen = \"127.0.0.1:0\"\n" };
    let text = format!("{listen}data = {data:?}\n{settings}\n");
    fs::write(path, text).expect("the configuration is written");
}

/// Asks until the answer is yes.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("waited too long until {what}");
}
