//! Independent programs, and scripts with independent libraries. The libraries are installed once for all tests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Programs make more concurrent requests than other tests.
const PATIENCE: Duration = Duration::from_mins(2);

const TO_INSTALL: &str =
    "please install it (Debian: apt-get install curl nghttp2-client python3 python3-venv nodejs npm)";

/// A script in a folder of its own, and its interpreter.
pub(crate) struct Script {
    program: PathBuf,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Script {
    /// With the libraries of `requirements.txt`.
    pub(crate) fn python(name: &str, source: &str) -> Self {
        // An environment works only with its own version of Python.
        let version = run(Path::new("."), "python3", &["--version"]);
        let files = [("requirements.txt", include_str!("requirements.txt")), ("version", &version)];
        let libraries = installed("python", &files, |folder| {
            run(folder, "python3", &["-m", "venv", "venv"]);
            run(folder, folder.join("venv/bin/python"), &["-m", "pip", "install", "--quiet", "-r", "requirements.txt"]);
        });
        let folder = tempfile::tempdir().unwrap();
        Self::written(libraries.join("venv/bin/python"), folder, name, source)
    }

    /// With the libraries of `package-lock.json`.
    pub(crate) fn node(name: &str, source: &str) -> Self {
        let files =
            [("package.json", include_str!("package.json")), ("package-lock.json", include_str!("package-lock.json"))];
        let libraries = installed("node", &files, |folder| {
            run(folder, "npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        });
        // Node searches for libraries in the folders above the script.
        let folder = tempfile::tempdir_in(libraries).unwrap();
        Self::written("node".into(), folder, name, source)
    }

    fn written(program: PathBuf, folder: tempfile::TempDir, name: &str, source: &str) -> Self {
        let file = folder.path().join(name);
        fs::write(&file, source).unwrap();
        Self { program, file, _folder: folder }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = program(&self.program);
        command.arg(&self.file);
        command
    }
}

/// The folder with the installed libraries of these files. The first caller installs them, for all later test runs.
fn installed(kind: &str, files: &[(&str, &str)], install: impl Fn(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut digest = Sha256::new();
    for (name, content) in files {
        digest.update(format!("{name}\0{content}\0"));
    }
    let folder = all.join(format!("{kind}-{:.16}", format!("{:x}", digest.finalize())));
    // Tests may run as separate processes.
    let lock = File::create(all.join(format!("{kind}.lock"))).unwrap();
    lock.lock().unwrap();
    let whole = folder.join("whole");
    if !whole.exists() {
        // The folder of an abandoned installation.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        install(&folder);
        File::create(whole).unwrap();
    }
    folder
}

/// Runs a program in a folder to its end, and returns its output.
#[track_caller]
fn run(folder: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let mut command = self::program(&program);
    command.args(arguments).current_dir(folder);
    let output = finished(command, b"");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.as_ref().display());
    said
}

/// A program that uses no proxy for loopback addresses.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command
}

/// Starts it with pipes to all of its ends.
#[track_caller]
pub(crate) fn started(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}; {TO_INSTALL}", command.get_program().display());
    })
}

/// Runs it to its end.
#[track_caller]
pub(crate) fn finished(command: Command, input: &[u8]) -> Output {
    finished_within(PATIENCE, command, input)
}

/// Runs it to its end, at most for this time.
#[track_caller]
pub(crate) fn finished_within(patience: Duration, command: Command, input: &[u8]) -> Output {
    let shown = format!("{command:?}");
    let mut process = started(command);
    let mut stdin = process.stdin.take().unwrap();
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        })
    };
    let stdout = read(Box::new(process.stdout.take().unwrap()));
    let stderr = read(Box::new(process.stderr.take().unwrap()));
    // If it has ended already, its output says why.
    let _ = stdin.write_all(input);
    drop(stdin);
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let Some(status) = status else {
        process.kill().unwrap();
        process.wait().unwrap();
        panic!("{shown} does not end: {}", String::from_utf8_lossy(&stderr.join().unwrap()));
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// A script that prints a line of JSON for each event, and reads commands by line. It is killed when dropped.
pub(crate) struct Conversation {
    process: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
    script: Script,
}

impl Conversation {
    pub(crate) fn begin(script: Script, arguments: &[&str]) -> Self {
        let mut command = script.command();
        command.args(arguments);
        let mut process = started(command);
        let input = process.stdin.take().unwrap();
        let lines = lines_of(process.stdout.take().unwrap());
        let errors = lines_of(process.stderr.take().unwrap());
        Self { process, input, lines, errors, script }
    }

    /// Its next event.
    #[track_caller]
    pub(crate) fn said(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let errors: Vec<_> = self.errors.try_iter().collect();
            panic!("{} says nothing ({error}):\n{}", self.script.file.display(), errors.join("\n"))
        });
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{} says {line:?}", self.script.file.display()))
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, command: &Value) -> Value {
        // If it has ended already, its output says why.
        let _ = writeln!(self.input, "{command}");
        self.said()
    }
}

/// The lines of an output. They are always read, so that the writer never blocks.
pub(crate) fn lines_of(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
