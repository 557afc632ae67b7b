//! The threads of a service: the end of one, whatever it is, is the end of all, with its sentence in the log at once.
//!
//! Reports come in the order in which threads end. A panic is such an end too: the report is made by a guard that every way out
//! drops.

use std::error::Error;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a worker says.
#[derive(Debug)]
pub enum Word<E> {
    /// It has all that it needs.
    Open,
    /// It is no more.
    Ended(Result<(), E>),
}

/// Threads that work side by side until told to stop.
#[derive(Debug)]
pub struct Workers<E> {
    stop: CancellationToken,
    told: mpsc::UnboundedSender<Word<E>>,
    words: mpsc::UnboundedReceiver<Word<E>>,
    started: usize,
    ended: usize,
    /// Those that were started end where this is dropped.
    _ends: DropGuard,
}

/// Told by a worker when it is open.
#[derive(Debug)]
pub struct Opened<E>(mpsc::UnboundedSender<Word<E>>);

impl<E> Opened<E> {
    /// It has all that it needs.
    pub fn open(self) {
        // Nobody listens where the service has ended already.
        let _ = self.0.send(Word::Open);
    }
}

/// A second take-over within this time is another process of the same identity: that one is fenced by this one's return, returns
/// itself, and fences this one, all within a few heartbeats. Outages of a broker come further apart.
const TAKEN_AGAIN: Duration = Duration::from_secs(15);

/// Lives again where a life ended because another holder of its identity was there. That may have been its own former self: while a
/// broker is away the client gives its session up and joins anew, and a commit that it had sent before arrives under the old name, which
/// fences both. Where two processes have one identity, the first that is taken over twice within a quarter of a minute ends.
///
/// # Errors
/// That of the last life.
pub fn live<E: Error>(
    mut life: impl FnMut() -> Result<(), E>,
    taken_over: impl Fn(&E) -> bool,
    stop: &CancellationToken,
) -> Result<(), E> {
    let mut before: Option<Instant> = None;
    loop {
        match life() {
            Err(error)
                if taken_over(&error)
                    && !stop.is_cancelled()
                    && before.is_none_or(|before| before.elapsed() > TAKEN_AGAIN) =>
            {
                tracing::warn!("{error}; it begins anew, and ends if that happens again at once");
                before = Some(Instant::now());
            }
            done => return done,
        }
    }
}

/// Reports a worker's end, also where it panics.
struct Ending<E: Error> {
    name: String,
    told: mpsc::UnboundedSender<Word<E>>,
    stop: CancellationToken,
    done: Option<Result<(), E>>,
    lost: Option<E>,
}

impl<E: Error> Ending<E> {
    fn end(mut self, done: Result<(), E>) {
        self.done = Some(done);
    }
}

impl<E: Error> Drop for Ending<E> {
    fn drop(&mut self) {
        let lost = self.lost.take();
        let Some(done) = self.done.take().or_else(|| lost.map(Err)) else { return };
        if let Err(error) = &done {
            tracing::error!(worker = self.name, "{error}");
        }
        let _ = self.told.send(Word::Ended(done));
        self.stop.cancel();
    }
}

impl<E: Error + Send + 'static> Workers<E> {
    /// None yet. `stop` is cancelled when one ends, or when this is dropped.
    pub fn new(stop: &CancellationToken) -> Self {
        let (told, words) = mpsc::unbounded_channel();
        Self { stop: stop.clone(), told, words, started: 0, ended: 0, _ends: stop.clone().drop_guard() }
    }

    /// Starts a thread. `lost` is the report of one that ends without its own.
    pub fn start(
        &mut self,
        name: String,
        lost: E,
        work: impl FnOnce(Opened<E>) -> Result<(), E> + Send + 'static,
    ) -> std::io::Result<()> {
        let ending = Ending {
            name: name.clone(),
            told: self.told.clone(),
            stop: self.stop.clone(),
            done: None,
            lost: Some(lost),
        };
        let opened = Opened(self.told.clone());
        std::thread::Builder::new().name(name).spawn(move || ending.end(work(opened)))?;
        self.started += 1;
        Ok(())
    }

    /// The next word of any; `None` when all have ended. Nothing is lost where the wait for it is given up.
    pub async fn next(&mut self) -> Option<Word<E>> {
        if self.ended == self.started {
            return None;
        }
        let word = self.words.recv().await;
        self.ended += usize::from(matches!(word, Some(Word::Ended(_))));
        word
    }

    /// Waits for all ends; says when all are open. The first error is the one that counts.
    pub async fn ended(mut self, all_open: impl FnOnce()) -> Result<(), E> {
        let (mut outcome, mut open, mut all_open) = (Ok(()), 0, Some(all_open));
        while let Some(word) = self.next().await {
            match word {
                Word::Open => open += 1,
                Word::Ended(done) => outcome = outcome.and(done),
            }
            if open == self.started
                && !self.stop.is_cancelled()
                && let Some(tell) = all_open.take()
            {
                tell();
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thiserror::Error;

    #[derive(Debug, Error, PartialEq)]
    enum Told {
        #[error("broken")]
        Broken,
        #[error("lost {0}")]
        Lost(usize),
    }

    fn patient(stop: &CancellationToken) -> impl FnOnce(Opened<Told>) -> Result<(), Told> + use<> {
        let stop = stop.clone();
        move |opened| {
            opened.open();
            while !stop.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
    }

    async fn outcome(
        last: impl FnOnce(Opened<Told>) -> Result<(), Told> + Send + 'static,
    ) -> (Result<(), Told>, bool) {
        let stop = CancellationToken::new();
        let mut workers = Workers::new(&stop);
        workers.start("test-0".to_owned(), Told::Lost(0), patient(&stop)).unwrap();
        workers.start("test-1".to_owned(), Told::Lost(1), last).unwrap();
        let mut open = false;
        let ended = tokio::time::timeout(Duration::from_secs(20), workers.ended(|| open = true));
        (ended.await.expect("the other one went on"), open)
    }

    #[test]
    fn one_that_was_taken_over_begins_anew_once_and_ends_where_that_happens_again() {
        let stop = CancellationToken::new();
        let taken = |error: &Told| matches!(error, Told::Lost(_));
        let lives = |mut ends: Vec<Result<(), Told>>, stop: &CancellationToken| {
            let done = live(|| ends.remove(0), taken, stop);
            (done, ends.len())
        };
        assert_eq!(lives(vec![Err(Told::Lost(1)), Ok(())], &stop), (Ok(()), 0));
        let twice = vec![Err(Told::Lost(1)), Err(Told::Lost(2)), Ok(())];
        assert_eq!(lives(twice, &stop), (Err(Told::Lost(2)), 1));
        assert_eq!(lives(vec![Err(Told::Broken), Ok(())], &stop), (Err(Told::Broken), 1));
        stop.cancel();
        assert_eq!(lives(vec![Err(Told::Lost(1)), Ok(())], &stop), (Err(Told::Lost(1)), 1));
    }

    #[tokio::test]
    async fn the_end_of_any_worker_ends_all_with_its_sentence() {
        assert_eq!(outcome(|_| Err(Told::Broken)).await, (Err(Told::Broken), false));
    }

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        assert_eq!(outcome(|_| panic!("on purpose")).await, (Err(Told::Lost(1)), false));
    }

    #[tokio::test]
    async fn all_are_open_when_the_last_one_is() {
        let late = |opened: Opened<Told>| {
            std::thread::sleep(Duration::from_millis(50));
            opened.open();
            std::thread::sleep(Duration::from_millis(50));
            Err(Told::Broken)
        };
        assert_eq!(outcome(late).await, (Err(Told::Broken), true));
    }

    #[tokio::test]
    async fn those_that_were_started_end_when_nobody_waits_for_them() {
        let stop = CancellationToken::new();
        let mut workers = Workers::new(&stop);
        workers.start("test-0".to_owned(), Told::Lost(0), patient(&stop)).unwrap();
        drop(workers);
        assert!(stop.is_cancelled());
    }
}
