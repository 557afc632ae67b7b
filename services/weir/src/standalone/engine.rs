//! The engine as a child of `weir standalone`: its crash or hunger for memory ends nothing else.
//!
//! What must stay true: it is started again however often it ends, with a pause that grows, and is killed only where it says nothing for
//! longer than any load explains; it never outlives its parent, because its standard input is a pipe whose other end dies with the parent
//! (kill -9 too), and the child ends when that closes.

use super::own::Own;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use weir_runtime::{Readiness, Stop};
use weir_store::{Store, StoreError};

/// Between looks whether it answers.
const LOOK: Duration = Duration::from_millis(100);
/// One that answered before and says nothing to anything for so long is stuck.
pub const SILENT: Duration = Duration::from_secs(120);
/// Pause before the first new start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// One that ran for so long is no failure of its start.
const HEALTHY: Duration = Duration::from_secs(60);
/// How long it may take to end in order.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before the next start, after so many that ended soon.
fn pause(soon: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << soon.min(10)).min(LONGEST_PAUSE)
}

/// Keeps the engine running until told to stop, and then ends it in order.
pub async fn supervise(
    mut command: impl FnMut() -> Command,
    own: Own,
    store: Store,
    silence: Duration,
    ready: Readiness,
    stop: Stop,
) -> std::io::Result<()> {
    let mut soon: u32 = 0;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        // In a group of its own: Ctrl-C is this process's to answer, and the engine ends last.
        let mut command = command();
        own.name(&mut command);
        let started = command.stdin(Stdio::piped()).process_group(0).kill_on_drop(true).spawn();
        let why = match started {
            // A machine without memory or processes to spare has them again some time.
            Err(error) => format!("it can't be started ({error})"),
            Ok(mut child) => {
                // Waiting for a child closes its input, so the pipe is kept apart.
                let pipe = child.stdin.take();
                let ended = tokio::select! {
                    status = child.wait() => Some(status),
                    () = falls_silent(&own, &store, &ready, begun, silence) => None,
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
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Says that it is ready when it answers, and nobody else in its place; ends when nothing has come of it for long after that. Each question has
/// a connection of its own while it is asked, and half of the time: no single one that is lost is the engine's end.
async fn falls_silent(own: &Own, store: &Store, ready: &Readiness, begun: Instant, silence: Duration) {
    while own.answers().await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
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

/// Cancels `stop` when standard input closes: the child's side.
pub fn end_with_input(stop: Stop) {
    std::thread::spawn(move || {
        // Whatever comes means nothing; an error is an end too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tracing::info!("the parent is gone");
        stop.cancel();
    });
}

#[cfg(test)]
mod tests {
    use super::super::own::tests::server;
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

    fn away() -> (Own, Store) {
        let config = weir_store::Config { url: "http://127.0.0.1:1".into(), ..Default::default() };
        (Own::new("127.0.0.1:1"), Store::new(&config).unwrap())
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
        let (own, store) = away();
        let supervised = supervise(command, own, store, SILENT, health.condition("engine"), stop.clone());
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

    /// A server that answers as many questions as it is told, and takes connections for ever.
    fn answering(questions: usize) -> (Own, Store) {
        let (own, _, config) = server(true, move |number| {
            (number < questions).then_some((if number % 2 == 0 { "200 OK" } else { "500 no" }, ""))
        });
        (own, Store::new(&config).unwrap())
    }

    #[tokio::test]
    async fn a_server_that_is_there_already_is_not_taken_for_the_engine() {
        let (own, asked, config) = server(false, |_| Some(("200 OK", "Ok.")));
        let (stop, health) = (Stop::new(), weir_runtime::Health::default());
        let store = Store::new(&config).unwrap();
        let supervised =
            supervise(|| script("cat"), own, store, SILENT, health.condition("engine"), stop.clone());
        let story = async {
            while asked.lock().unwrap().len() < 5 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(health.missing().contains_key("engine"));
            assert!(asked.lock().unwrap().iter().all(|line| line == "GET /ping HTTP/1.1"), "{asked:?}");
            stop.cancel();
        };
        let (done, ()) =
            tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(supervised, story) })
                .await
                .expect("it hangs");
        done.unwrap();
    }

    #[tokio::test]
    async fn one_that_answers_no_more_is_killed_and_started_again_and_one_that_refuses_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let starts = folder.path().join("starts");
        let text = format!("echo >>'{}'; cat", starts.display());
        let lines = || std::fs::read_to_string(&starts).unwrap_or_default().lines().count();
        let (stop, health, silence) = (Stop::new(), weir_runtime::Health::default(), Duration::from_secs(1));
        let begun = Instant::now();
        let (own, store) = answering(30);
        let supervised =
            supervise(|| script(&text), own, store, silence, health.condition("engine"), stop.clone());
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
