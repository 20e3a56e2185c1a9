//! The program as a service: started, asked, told to stop, started twice, told nonsense.

use crate::http::client::{connect, get, post, read_answer, request_text};
use crate::http::served::wait_until;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

pub(crate) fn narthex() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
    for (name, _) in std::env::vars_os() {
        let is_ours = name.to_str().is_some_and(|name| name.starts_with("NARTHEX_"));
        if is_ours || ["PORT", "DATA_DIR", "RUST_LOG"].iter().any(|one| name == *one) {
            command.env_remove(name);
        }
    }
    command
}

/// A running server; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts it on any port and reads from its log which one it is.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let mut line = String::new();
        log.read_line(&mut line).expect("a line");
        let address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("address="));
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the first line names the address: {line}"));
        Self { child, log, address }
    }

    pub(crate) fn on(data: &Path, flags: &[&str]) -> Self {
        let mut command = narthex();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(flags);
        Self::start(&mut command)
    }

    pub(crate) fn ready(self) -> Self {
        wait_until("it is ready", || get(self.address, "/-/ready").status == 200);
        self
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end: exit code and the rest of its log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("its log");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn it_starts_works_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let process = Process::on(&data, &["--retention", "100y", "--durability", "interval"]);
    assert_eq!(
        get(process.address, "/-/healthy").status,
        200,
        "healthy from the first moment on"
    );
    let process = process.ready();
    assert_eq!(post(process.address, "/api/v1/admin/flush", "").status, 200);
    assert_eq!(
        post(process.address, "/api/v1/admin/compact", "{\"force\": true}").status,
        200
    );
    let url = format!("http://{}/-/ready", process.address);
    let (code, out, _) = output(narthex().args(["health", "--url", &url]));
    assert_eq!((code, out.as_str()), (Some(0), "200 narthex is ready\n"));
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
    let (code, _, err) = output(narthex().args(["health", "--url", &url]));
    assert_eq!(code, Some(1), "{err}");
    let (code, out, _) = output(narthex().arg("verify").arg(&data));
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn the_log_goes_to_a_file_as_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("narthex.log"));
    let path = file.to_str().expect("text");
    let flags = [
        "--log-file",
        path,
        "--log-file-max-bytes",
        "300",
        "--log-files-kept",
        "2",
    ];
    let process = Process::on(&data, &flags).ready();
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let all = ["narthex.log.2", "narthex.log.1", "narthex.log"].map(read);
    let text = all.concat();
    assert!(
        text.lines().last().is_some_and(|line| line.ends_with("stopped")),
        "{text}"
    );
    assert!(text.contains("stopping") && !text.contains('\u{1b}'), "{text}");
    assert!(
        all.iter().all(|text| text.len() <= 300) && !all[1].is_empty(),
        "{all:?}"
    );
    let flags = ["serve", "--log-file", "nowhere/at/all.log", "--data"];
    let (code, _, err) = output(narthex().args(flags).arg(&data));
    assert!(
        code == Some(1) && err.contains("log_file: create nowhere/at/all.log"),
        "{err}"
    );
}

#[test]
fn a_second_writer_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = Process::on(folder.path(), &[]).ready();
    let second = Process::on(folder.path(), &[]);
    let (code, log) = second.end();
    assert_eq!(code, Some(1));
    let place = folder.path().display();
    assert!(
        log.contains(&format!("narthex: {place} is in use by another process")),
        "{log}"
    );
    assert_eq!(get(first.address, "/-/ready").status, 200);
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = Process::on(&folder.path().join("a"), &[]);
    let listen = first.address.to_string();
    let data = folder.path().join("b");
    let (code, _, err) = output(narthex().args(["--listen", &listen, "--data"]).arg(data));
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("listen on {listen}")), "{err}");
}

#[test]
fn requests_under_way_end_before_it_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let process = Process::on(folder.path(), &[]).ready();
    let mut stream = connect(process.address);
    let head = "POST /api/v1/admin/compact HTTP/1.1\r\nHost: narthex\r\nContent-Length: 2\r\n\r\n{";
    stream.write_all(head.as_bytes()).expect("the server reads");
    wait_until("the request is held", || {
        get(process.address, "/metrics")
            .body
            .contains("narthex_http_in_flight_bytes 16384")
    });
    process.signal("TERM");
    wait_until("nobody is accepted", || {
        std::net::TcpStream::connect(process.address).is_err()
    });
    stream.write_all(b"}").expect("the connection is open");
    assert_eq!(read_answer(&mut stream).expect("an answer").status, 200);
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let process = Process::on(
        folder.path(),
        &["--http-shutdown-timeout", "1h", "--http-body-timeout", "1h"],
    )
    .ready();
    let mut stream = connect(process.address);
    let text = request_text("POST", "/api/v1/admin/compact", &["Expect: nothing"], "{}");
    stream
        .write_all(&text.as_bytes()[..text.len() - 1])
        .expect("the server reads");
    wait_until("the request is held", || {
        get(process.address, "/metrics")
            .body
            .contains("narthex_http_in_flight_bytes 16384")
    });
    process.signal("TERM");
    wait_until("nobody is accepted", || {
        std::net::TcpStream::connect(process.address).is_err()
    });
    process.signal("INT");
    let (code, log) = process.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("told a second time"), "{log}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the file of an operator")]
fn a_hangup_reads_the_configuration_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("narthex.toml");
    std::fs::write(&config, "log_format = \"json\"\nlog = \"info\"\n").expect("a file");
    let data = folder.path().join("data");
    let mut command = narthex();
    command
        .args(["--listen", "127.0.0.1:0", "--log-format", "text", "--config"])
        .arg(&config)
        .arg("--data")
        .arg(data);
    let mut process = Process::start(&mut command).ready();
    std::fs::write(&config, "log = \"debug\"\nretention = \"5d\"\n").expect("a file");
    process.signal("HUP");
    let mut line = String::new();
    while !line.contains("reloaded") {
        line.clear();
        assert!(
            process.log.read_line(&mut line).expect("its log") > 0,
            "it went away"
        );
    }
    assert!(
        line.contains("applied=[\"log\"] needs_restart=[\"retention\"]"),
        "{line}"
    );
    assert_eq!(get(process.address, "/version").status, 200);
    while !line.contains("answered") {
        line.clear();
        assert!(
            process.log.read_line(&mut line).expect("its log") > 0,
            "it went away"
        );
    }
    assert!(line.contains("request{id=") && line.contains("DEBUG"), "{line}");
}

#[test]
fn log_lines_can_be_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("in the way");
    let taken = output(narthex().args([
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--data",
        "/dev/null/x",
    ]));
    assert_eq!(taken.0, Some(1));
    let first = taken.2.lines().next().unwrap_or("");
    let line: serde_json::Value = serde_json::from_str(first).expect("a JSON object");
    assert_eq!(
        (&line["level"], &line["message"]),
        (&"INFO".into(), &"listening".into())
    );
    assert!(!data.exists());
}

#[test]
fn layers_win_in_their_order() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("narthex.toml");
    let text = "listen = \"127.0.0.1:1\"\ndata = \"file\"\nretention = \"1d\"\ndurability = \"never\"\n";
    write(&config, text);
    let printed = |command: &mut Command| {
        let (code, out, err) = output(command.arg("--print-config"));
        assert_eq!(code, Some(0), "{err}");
        out
    };
    let mut command = narthex();
    command.arg("--config").arg(&config).args(["--retention", "3d"]);
    command
        .env("NARTHEX_RETENTION", "2d")
        .env("NARTHEX_DURABILITY", "interval");
    command
        .env("PORT", "2")
        .env("DATA_DIR", "variable")
        .env("NARTHEX_SERVICE_HOST", "10.0.0.1");
    let out = printed(&mut command);
    for line in [
        "listen = \"127.0.0.1:2\"",
        "data = \"variable\"",
        "retention = \"3d\"",
        "durability = \"interval\"",
        "concurrency = 64",
    ] {
        assert!(out.lines().any(|one| one == line), "{line} in\n{out}");
    }
    let again = folder.path().join("again.toml");
    write(&again, &out);
    assert_eq!(printed(narthex().arg("serve").arg("--config").arg(&again)), out);
}

#[test]
fn variables_and_folder_of_another_server_are_taken_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let printed = |variables: &[(&str, &str)]| {
        let mut command = narthex();
        command.arg("--print-config").current_dir(folder.path());
        let (code, out, err) = output(command.envs(variables.iter().copied()));
        assert_eq!(code, Some(0), "{err}");
        out
    };
    let has = |out: &str, line: &str| assert!(out.lines().any(|one| one == line), "{line} in\n{out}");
    let out = printed(&[]);
    has(&out, "listen = \"127.0.0.1:6364\"");
    has(&out, "data = \"./narthex-data\"");
    std::fs::create_dir(folder.path().join("tsdb_data")).expect("a folder");
    has(&printed(&[]), "data = \"./tsdb_data\"");
    let variables = [
        ("PORT", "8080"),
        ("DATA_DIR", "elsewhere"),
        ("MEMTABLE_THRESHOLD", "10000"),
        ("RUST_LOG", "debug"),
    ];
    let out = printed(&variables);
    has(&out, "listen = \"127.0.0.1:8080\"");
    has(&out, "data = \"elsewhere\"");
    has(&out, "flush_samples = 10000");
    has(&out, "log = \"debug\"");
}

#[expect(clippy::disallowed_methods, reason = "the file of an operator")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
}

#[test]
fn what_is_not_known_is_refused_with_a_suggestion() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("narthex.toml");
    write(&config, "retenton = \"1d\"\n[http]\nconcurency = 3\n");
    let (code, out, err) = output(
        narthex()
            .arg("--config")
            .arg(&config)
            .env("NARTHEX_DURABILTY", "never"),
    );
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for part in [
        "narthex.toml:1: unknown key `retenton`; did you mean `retention`?",
        "narthex.toml:3: unknown key `http.concurency`; did you mean `http.concurrency`?",
        "unknown variable NARTHEX_DURABILTY; did you mean `NARTHEX_DURABILITY`?",
    ] {
        assert!(err.contains(part), "{part} in\n{err}");
    }
    let (code, _, err) = output(narthex().args(["--retension", "1d"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("'--retention'"), "{err}");
}

#[test]
fn passwords_are_hashed() {
    let mut command = narthex();
    let mut child = command
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(b"open sesame\n")
        .expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    let hash = String::from_utf8(out.stdout).expect("text");
    assert!(
        bcrypt::verify("open sesame", hash.trim()).expect("a hash"),
        "{hash}"
    );
    let (code, _, err) = output(narthex().arg("hash-password"));
    assert_eq!(code, Some(1));
    assert!(err.contains("1 to 72 bytes"), "{err}");
}
