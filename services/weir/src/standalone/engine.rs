//! The engine as a child of `weir standalone`: its crash or hunger for memory ends nothing else.
//!
//! What must stay true: it is started again however often it ends, with a pause that grows, and is killed only where it says nothing for
//! longer than any load explains; it never outlives its parent, because its standard input is a pipe whose other end dies with the parent
//! (kill -9 too), and the child ends when that closes. Nobody but a child ever answers at `engine.listen` while its parent lives: the
//! parent holds the socket and hands it to each child as standard output. A ClickHouse of the same machine listens there by default too,
//! and takes whatever it is sent; what lies in two stores is whole in neither.

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use weir_runtime::{Readiness, Repeats, Stop};
use weir_store::{Store, StoreError};

/// Between looks whether it answers.
const LOOK: Duration = Duration::from_millis(100);
/// One that answered before and says nothing to anything for so long is stuck.
pub const SILENT: Duration = Duration::from_secs(120);
/// Pause before the first new start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A pause that is no longer is waited through by whoever asks meanwhile.
const PATIENT: Duration = Duration::from_secs(1);
/// One that ran for so long is no failure of its start.
const HEALTHY: Duration = Duration::from_secs(60);
/// How long it may take to end in order.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before the next start, after so many that ended soon.
fn pause(soon: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << soon.min(10)).min(LONGEST_PAUSE)
}

/// A socket as children and [`refuse`] accept on it.
fn bind(address: &str) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes `engine.listen`, as soon as it is free. `None`: told to stop before.
pub async fn listen(address: &str, ready: &Readiness, stop: &Stop) -> Option<TcpListener> {
    let mut told = Repeats::default();
    loop {
        let error = match bind(address) {
            Ok(listener) => return Some(listener),
            Err(error) => error,
        };
        let words = format!(
            "engine.listen: can't listen on {address} ({error}), and nothing is stored with whoever is there: stop it, or set \
             engine.listen and clickhouse.url to a port that is free"
        );
        ready.not_ready(&words);
        if told.says(&words) {
            tracing::error!("{words}; it is tried again, and what is received waits in the log");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// Keeps the engine running until told to stop, and then ends it in order.
pub async fn supervise(
    mut command: impl FnMut() -> Command,
    listener: TcpListener,
    store: Store,
    silence: Duration,
    ready: Readiness,
    stop: Stop,
) -> std::io::Result<()> {
    let mut soon: u32 = 0;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let started = start(command(), &listener);
        let why = match started {
            // A machine without memory or processes to spare has them again some time.
            Err(error) => format!("it can't be started ({error})"),
            Ok(mut child) => {
                // Waiting for a child closes its input, so the pipe is kept apart.
                let pipe = child.stdin.take();
                let ended = tokio::select! {
                    status = child.wait() => Some(status),
                    () = falls_silent(&store, &ready, begun, silence) => None,
                    () = stop.cancelled() => {
                        drop(pipe);
                        return end(child).await;
                    }
                };
                match ended {
                    Some(Ok(status)) => format!("it ended ({status})"),
                    Some(Err(error)) => error.to_string(),
                    None => match child.kill().await {
                        Ok(()) => format!("it said nothing for {silence:?} and was killed"),
                        Err(error) => {
                            format!("it said nothing for {silence:?} and can't be killed ({error})")
                        }
                    },
                }
            }
        };
        soon = if begun.elapsed() >= HEALTHY { 0 } else { soon.saturating_add(1) };
        let pause = pause(soon.saturating_sub(1));
        tracing::error!(again_in = ?pause, "the engine: {why}; what is received goes on into the log meanwhile");
        metrics::counter!(weir_store::metrics::ENGINE_RESTARTS).increment(1);
        ready.not_ready(&format!("{why} and is started again"));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = refuse(&listener), if pause > PATIENT => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Closes each connection that is made, as long as it is polled: who asks an engine that does not come back is told so, and not left waiting
/// for it as long as a statement may take.
async fn refuse(listener: &TcpListener) {
    match listener.try_clone().and_then(tokio::net::TcpListener::from_std) {
        Ok(listener) => loop {
            match listener.accept().await {
                Ok((connection, _)) => drop(connection),
                // Too many open files, for one: it passes.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        },
        Err(error) => {
            tracing::warn!("what is asked while the engine is away waits for it: {error}");
            std::future::pending().await
        }
    }
}

fn start(mut command: Command, listener: &TcpListener) -> std::io::Result<Child> {
    let socket = OwnedFd::from(listener.try_clone()?);
    // In a group of its own: Ctrl-C is the parent's to answer, and the engine ends last.
    command.stdin(Stdio::piped()).stdout(socket).process_group(0).kill_on_drop(true).spawn()
}

/// Says that it is ready when it answers; ends when nothing has come of it for long after that. Each question has a connection of its own
/// while it is asked, and half of the time: no single one that is lost is the engine's end.
async fn falls_silent(store: &Store, ready: &Readiness, begun: Instant, silence: Duration) {
    while store.execute("SELECT 1").await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    ready.ready();
    tracing::info!(after = ?begun.elapsed(), "the engine answers");
    let mut heard = Instant::now();
    while heard.elapsed() < silence {
        tokio::time::sleep(silence / 10).await;
        let answer = tokio::time::timeout(silence / 2, store.execute("SELECT 1")).await;
        // One that refuses, for want of memory or whatever else, lives.
        if matches!(answer, Ok(Ok(()) | Err(StoreError::Refused { .. }))) {
            heard = Instant::now();
        }
    }
}

async fn end(mut child: Child) -> std::io::Result<()> {
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        tracing::warn!(after = ?PATIENCE, "the engine does not end and is killed");
        child.kill().await?;
    }
    Ok(())
}

/// The child's side: the socket that its parent holds. `stop` is cancelled when the parent is gone.
pub fn handed_down(stop: Stop) -> std::io::Result<tokio::net::TcpListener> {
    std::thread::spawn(move || {
        // Whatever comes means nothing; an error is an end too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tracing::info!("the parent is gone");
        stop.cancel();
    });
    let listener = TcpListener::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    tokio::net::TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::super::tests::server;
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let pauses: Vec<_> = [0, 1, 2, 5, 6, 4_000_000_000].map(pause).into();
        let ms = |n| Duration::from_millis(n);
        assert_eq!(pauses, [ms(200), ms(400), ms(800), ms(6400), ms(10_000), ms(10_000)]);
    }

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    fn free() -> TcpListener {
        bind("127.0.0.1:0").unwrap()
    }

    fn store(url: String) -> Store {
        Store::new(&weir_store::Config { url, ..Default::default() }).unwrap()
    }

    #[tokio::test]
    async fn a_child_that_ends_is_started_again_and_one_that_is_to_end_sees_its_input_close() {
        let folder = tempfile::tempdir().unwrap();
        let (starts, ended) = (folder.path().join("starts"), folder.path().join("ended"));
        // Once it can't even be started, and twice it fails; then it waits for the end of its input, as the engine does.
        let text = format!(
            "echo >>'{0}'; [ $(wc -l <'{0}') -ge 3 ] || exit 7; cat; echo >'{1}'",
            starts.display(),
            ended.display()
        );
        let (stop, health) = (Stop::new(), weir_runtime::Health::default());
        let mut tries = 0;
        let command = || {
            tries += 1;
            if tries == 1 { Command::new("/nowhere/weir") } else { script(&text) }
        };
        let away = store("http://127.0.0.1:1".to_owned());
        let supervised = supervise(command, free(), away, SILENT, health.condition("engine"), stop.clone());
        let lines = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
        let story = async {
            while lines() < 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let why = health.missing()["engine"].clone();
            assert!(why.starts_with("it ended (exit status: 7)"), "{why}");
            stop.cancel();
        };
        let (done, ()) =
            tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(supervised, story) })
                .await
                .expect("it hangs");
        done.unwrap();
        assert!(ended.exists(), "it was not told");
    }

    #[tokio::test]
    async fn nothing_begins_while_another_server_has_the_port_and_later_nobody_else_gets_it() {
        let other = free();
        let address = other.local_addr().unwrap().to_string();
        let (stop, health) = (Stop::new(), weir_runtime::Health::default());
        let ready = health.condition("engine");
        let waiting = async {
            let while_taken = tokio::time::timeout(3 * LOOK, listen(&address, &ready, &stop)).await;
            assert!(while_taken.is_err());
            drop(other);
            listen(&address, &ready, &stop).await.expect("it is free")
        };
        let listener = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it hangs");
        let words = health.missing()["engine"].clone();
        assert!(words.contains("set engine.listen") && words.contains(&address), "{words}");
        // Each child fails at once, so that most of the time there is none.
        let store = store(format!("http://{address}"));
        let supervised = supervise(|| script("exit 7"), listener, store, SILENT, ready, stop.clone());
        let story = async {
            for _ in 0..20 {
                assert!(TcpListener::bind(&address).is_err(), "somebody else could listen there");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            stop.cancel();
        };
        let (done, ()) = tokio::join!(supervised, story);
        done.unwrap();
        assert!(TcpListener::bind(&address).is_ok(), "it is given back at the end");
    }

    #[tokio::test]
    async fn who_asks_an_engine_that_does_not_come_back_is_told_so() {
        let listener = free();
        let store = store(format!("http://{}", listener.local_addr().unwrap()));
        let (stop, health) = (Stop::new(), weir_runtime::Health::default());
        let ready = health.condition("engine");
        let supervised = supervise(|| script("exit 7"), listener, store.clone(), SILENT, ready, stop.clone());
        let story = async {
            let asked = tokio::time::timeout(Duration::from_secs(30), store.execute("SELECT 1")).await;
            stop.cancel();
            asked.expect("it waits for the engine").unwrap_err()
        };
        let (done, error) = tokio::join!(supervised, story);
        done.unwrap();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    }

    #[tokio::test]
    async fn one_that_answers_no_more_is_killed_and_started_again_and_one_that_refuses_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let starts = folder.path().join("starts");
        let text = format!("echo >>'{}'; cat", starts.display());
        let lines = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
        let (stop, health, silence) = (Stop::new(), weir_runtime::Health::default(), Duration::from_secs(1));
        let begun = Instant::now();
        let clickhouse =
            server(|number| (number < 30).then_some((if number % 2 == 0 { "200 OK" } else { "500 no" }, "")));
        let engine = health.condition("engine");
        let store = store(clickhouse.url);
        let supervised = supervise(|| script(&text), free(), store, silence, engine, stop.clone());
        let story = async {
            while lines() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // So long it was answered, if only by refusals every other time.
            assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
            let why = health.missing()["engine"].clone();
            assert!(why.starts_with("it said nothing for 1s and was killed"), "{why}");
            stop.cancel();
        };
        let (done, ()) =
            tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(supervised, story) })
                .await
                .expect("it hangs");
        done.unwrap();
    }
}
