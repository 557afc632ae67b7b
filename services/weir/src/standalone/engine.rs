//! The engine as a child of `weir standalone`: its crash or hunger for memory ends nothing else.
//!
//! What must stay true: it is started again however often it ends, with a pause that grows; it never outlives its parent, because its
//! standard input is a pipe whose other end dies with the parent (kill -9 too), and the child ends when that closes.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use weir_runtime::{Readiness, Stop};
use weir_store::Store;

/// Between looks whether it answers.
const LOOK: Duration = Duration::from_millis(100);
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
    store: Store,
    ready: Readiness,
    stop: Stop,
) -> std::io::Result<()> {
    let mut soon: u32 = 0;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        // In a group of its own: Ctrl-C is this process's to answer, and the engine ends last.
        let started = command().stdin(Stdio::piped()).process_group(0).kill_on_drop(true).spawn();
        let why = match started {
            // A machine without memory or processes to spare has them again some time.
            Err(error) => format!("it can't be started ({error})"),
            Ok(mut child) => {
                // Waiting for a child closes its input, so the pipe is kept apart.
                let pipe = child.stdin.take();
                let ended = tokio::select! {
                    status = child.wait() => status,
                    never = answers(&store, &ready, begun) => match never {},
                    () = stop.cancelled() => {
                        drop(pipe);
                        return end(child).await;
                    }
                };
                ended.map_or_else(|error| error.to_string(), |status| format!("it ended ({status})"))
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

/// Says that it is ready when it answers; never ends.
async fn answers(store: &Store, ready: &Readiness, begun: Instant) -> Infallible {
    while store.execute("SELECT 1").await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    ready.ready();
    tracing::info!(after = ?begun.elapsed(), "the engine answers");
    std::future::pending().await
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

    fn away() -> Store {
        Store::new(&weir_store::Config { url: "http://127.0.0.1:1".into(), ..Default::default() }).unwrap()
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
        let supervised = supervise(command, away(), health.condition("engine"), stop.clone());
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
}
