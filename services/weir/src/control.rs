//! Asking a running `weir standalone`: it has its bus alone, so what the command line wants of the bus it does there, and says here.
//!
//! A socket in the bus's folder, for its owner only. Whoever asks sends one line of JSON and reads lines until the last one; when they go
//! away, what was asked for ends at its next step. One thing is done at a time; who comes meanwhile waits a while. What must stay true: who
//! does not read keeps standalone from nothing, not even from its end.

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use weir_runtime::Stop;

const NAME: &str = "control.sock";
/// Longest request: selections are short.
const MAX_REQUEST: u64 = 1 << 20;

/// Between looks whether a line that nobody reads is still to be said.
const LOOK: Duration = Duration::from_secs(1);
/// How long a reader may take nothing, such as a pager that is left open, before others have their turn.
const UNREAD: Duration = Duration::from_secs(300);

/// A line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// Something to print.
    Say(String),
    /// It is done.
    Done,
    /// It failed, in a sentence.
    Failed(String),
}

/// A path that is short however deep the folder lies: sockets have about a hundred bytes for theirs.
fn short(folder: &File, name: &str) -> PathBuf {
    format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()).into()
}

/// What does what is asked for: the request's line, where to say things, and what ends it.
pub type Handler = dyn Fn(&str, &dyn Fn(&str), &Stop) -> Result<()> + Send + Sync;

/// How long a request waits for the one before it, which may just be ending.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Listens until told to stop, and returns when what is under way has ended.
pub async fn serve(
    folder: PathBuf,
    handler: Arc<Handler>,
    patience: Duration,
    stop: Stop,
) -> std::io::Result<()> {
    let folder = File::open(folder)?;
    let (fresh, name) = (short(&folder, "control.new"), short(&folder, NAME));
    // Nobody else lives in this folder, so what lies there is a dead one's.
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, &name)?;
    let (busy, mut running) = (Arc::new(Mutex::new(())), tokio::task::JoinSet::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("a request on {NAME} was not taken: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (handler, busy, stop) = (Arc::clone(&handler), Arc::clone(&busy), stop.child_token());
        running.spawn_blocking(move || {
            if let Err(error) = answer(stream, &*handler, (&busy, patience), &stop) {
                tracing::debug!("a request on {NAME} was cut off: {error:#}");
            }
        });
        while running.try_join_next().is_some() {}
    }
    let _ = std::fs::remove_file(&name);
    while running.join_next().await.is_some() {}
    Ok(())
}

/// Reads a request, and does it.
fn answer(
    stream: UnixStream,
    handler: &Handler,
    (busy, patience): (&Mutex<()>, Duration),
    stop: &Stop,
) -> Result<()> {
    stream.set_nonblocking(false)?;
    // Who connects and says nothing must not keep standalone from ending.
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    BufReader::new((&stream).take(MAX_REQUEST)).read_line(&mut request)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(Some(LOOK))?;
    let tell = |answer: &Answer| -> Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        Ok(send(&stream, &line, stop)?)
    };
    let Some(one) = turn(busy, patience, stop) else {
        let why = "another command is at work on this bus; try again when it is done";
        return tell(&Answer::Failed(why.to_owned()));
    };
    let (mut other, gone) = (stream.try_clone()?, stop.clone());
    let watch = std::thread::spawn(move || {
        // Nothing more is said; an end or an error is that they are gone.
        let _ = other.read(&mut [0; 1]);
        gone.cancel();
    });
    let say = |line: &str| {
        if tell(&Answer::Say(line.to_owned())).is_err() {
            stop.cancel();
        }
    };
    let done = handler(&request, &say, stop);
    drop(one);
    let told = tell(&match done {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(format!("{error:#}")),
    });
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let _ = watch.join();
    told
}

/// Writes all of it, for as long as somebody reads and nobody says stop.
fn send(mut stream: &UnixStream, mut rest: &[u8], stop: &Stop) -> std::io::Result<()> {
    let mut taken = Instant::now();
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => (rest, taken) = (&rest[bytes..], Instant::now()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error)
                if error.kind() == ErrorKind::WouldBlock
                    && !stop.is_cancelled()
                    && taken.elapsed() < UNREAD => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits for what was asked for before.
fn turn<'b>(busy: &'b Mutex<()>, patience: Duration, stop: &Stop) -> Option<MutexGuard<'b, ()>> {
    let begun = Instant::now();
    loop {
        match busy.try_lock() {
            Ok(one) => return Some(one),
            Err(TryLockError::Poisoned(one)) => return Some(one.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= patience || stop.is_cancelled() => {
                return None;
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// A connection to a standalone that runs on this folder; `None`: none does.
pub fn connect(folder: &Path) -> Option<UnixStream> {
    let folder = File::open(folder).ok()?;
    UnixStream::connect(short(&folder, NAME)).ok()
}

/// Has a request done; `print` gets its lines.
pub fn ask(mut stream: UnixStream, request: &impl Serialize, print: impl Fn(&str)) -> Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).context("asking weir standalone")?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.context("weir standalone ended meanwhile; run this again")?)? {
            Answer::Say(text) => print(&text),
            Answer::Done => return Ok(()),
            Answer::Failed(why) => return Err(anyhow!(why)),
        }
    }
    bail!("weir standalone ended meanwhile; run this again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_is_done_for_the_folders_owner_and_ends_when_who_asked_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep/".repeat(40));
        std::fs::create_dir_all(&deep).unwrap();
        assert!(connect(&deep).is_none());
        let (stop, (ended, told)) = (Stop::new(), std::sync::mpsc::channel());
        let handler = move |request: &str, say: &dyn Fn(&str), stop: &Stop| {
            if request.contains("wait") {
                while !stop.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                ended.send(()).unwrap();
            }
            say("one");
            say(request.trim());
            if request.contains("fail") { Err(anyhow!("as asked")) } else { Ok(()) }
        };
        let serving =
            tokio::spawn(serve(deep.clone(), Arc::new(handler), Duration::from_millis(500), stop.clone()));
        let asked = tokio::task::spawn_blocking(move || {
            let connected = || loop {
                if let Some(stream) = connect(&deep) {
                    break stream;
                }
            };
            let said = Mutex::new(Vec::new());
            let print = |line: &str| said.lock().unwrap().push(line.to_owned());
            ask(connected(), &"do", print).unwrap();
            assert_eq!(*said.lock().unwrap(), ["one", "\"do\""]);
            assert_eq!(ask(connected(), &"fail", |_| {}).unwrap_err().to_string(), "as asked");
            let mode = std::fs::metadata(deep.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let mut waits = connected();
            waits.write_all(b"\"wait\"\n").unwrap();
            std::thread::sleep(Duration::from_millis(200));
            let busy = ask(connected(), &"do", |_| {}).unwrap_err().to_string();
            assert!(busy.starts_with("another command is at work"), "{busy}");
            drop(waits);
            told.recv_timeout(Duration::from_secs(10)).unwrap();
        });
        asked.await.unwrap();
        stop.cancel();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_asks_and_does_not_read_keeps_standalone_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (stop, path) = (Stop::new(), folder.path().to_owned());
        let (begun, told) = std::sync::mpsc::channel();
        let handler = move |_: &str, say: &dyn Fn(&str), stop: &Stop| {
            begun.send(()).unwrap();
            while !stop.is_cancelled() {
                say(&"x".repeat(10_000));
            }
            Ok(())
        };
        let serving = tokio::spawn(serve(path.clone(), Arc::new(handler), PATIENCE, stop.clone()));
        let unread = tokio::task::spawn_blocking(move || {
            let mut asks = loop {
                if let Some(stream) = connect(&path) {
                    break stream;
                }
            };
            asks.write_all(b"\"list\"\n").unwrap();
            told.recv_timeout(Duration::from_secs(10)).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            asks
        });
        let _unread = unread.await.unwrap();
        stop.cancel();
        tokio::time::timeout(LOOK * 5, serving).await.expect("it waits for a reader").unwrap().unwrap();
    }
}
