//! How fast to send: by a rate that may follow the time of day, and never more ahead of ingest than its sockets hold.
//!
//! UDP on loopback is lost without a word when the receiver's buffer is full. So that this is never the generator's doing, ingest's
//! own counters bound what is on the way, and what the kernel dropped nevertheless is in the ledger.

use crate::ledger::Ingest;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};
use weir_stack::Metrics;

pub(crate) const RECEIVED: &str = "weir_ingest_datagrams_total";
pub(crate) const ACKNOWLEDGED: &str = "weir_ingest_datagrams_acked_total";
pub(crate) const KERNEL_DROPS: &str = "weir_ingest_kernel_drops_total";
pub(crate) const DROPPED: [&str; 2] =
    ["weir_ingest_datagrams_dropped_total", "weir_ingest_datagrams_failed_total"];

/// How long ingest may receive nothing of what was sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks at the counters while waiting; they follow four times a second.
const LOOK: Duration = Duration::from_millis(50);

/// What is on the way.
#[derive(Debug)]
pub struct Window {
    address: String,
    limit: u64,
    before: Ingest,
    now: Ingest,
    sent: u64,
}

fn counters(address: &str) -> Result<Ingest> {
    let metrics = Metrics::of(address).with_context(|| {
        format!("asking ingest at http://{address}/metrics what it received (--ingest-metrics)")
    })?;
    let count = |name| metrics.sum(name) as u64;
    Ok(Ingest {
        received: count(RECEIVED),
        acknowledged: count(ACKNOWLEDGED),
        kernel_drops: count(KERNEL_DROPS),
        dropped: DROPPED.into_iter().map(count).sum(),
    })
}

impl Window {
    /// At most `limit` datagrams on the way to the ingest whose metrics are at `address`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn open(address: &str, limit: u64) -> Result<Self> {
        let before = counters(address)?;
        Ok(Self { address: address.to_owned(), limit, before, now: before, sent: 0 })
    }

    /// What ingest counted since the window was opened.
    pub fn counted(&self) -> Ingest {
        let since = |field: fn(&Ingest) -> u64| field(&self.now).saturating_sub(field(&self.before));
        Ingest {
            received: since(|i| i.received),
            acknowledged: since(|i| i.acknowledged),
            kernel_drops: since(|i| i.kernel_drops),
            dropped: since(|i| i.dropped),
        }
    }

    fn on_the_way(&self) -> u64 {
        let counted = self.counted();
        self.sent.saturating_sub(counted.received + counted.kernel_drops)
    }

    /// Asks until there is an answer: one who is slow for a while, or is asked while it starts, keeps the run.
    fn ask(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match counters(&self.address) {
                Ok(now) => {
                    self.now = now;
                    return Ok(());
                }
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Counts a datagram that was sent, and waits while too many are on the way.
    ///
    /// # Errors
    /// Where ingest answers nothing, or receives nothing, for half a minute.
    pub fn sent(&mut self) -> Result<()> {
        self.sent += 1;
        let (mut since, mut last) = (Instant::now(), self.now.received);
        while self.on_the_way() >= self.limit {
            self.ask()?;
            if self.now.received != last {
                (since, last) = (Instant::now(), self.now.received);
            }
            if since.elapsed() > PATIENCE {
                bail!(
                    "ingest has received {} of {} datagrams and nothing for {PATIENCE:?}",
                    self.counted().received,
                    self.sent
                );
            }
            if self.on_the_way() >= self.limit {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Looks again.
    ///
    /// # Errors
    /// Where ingest answers nothing for half a minute.
    pub fn look(&mut self) -> Result<Ingest> {
        self.ask()?;
        Ok(self.counted())
    }

    /// Waits until all that was sent is received and acknowledged by the bus, or is known not to be, at most so long.
    ///
    /// # Errors
    /// As [`Window::look`].
    pub fn settle(&mut self, patience: Duration) -> Result<Ingest> {
        let begun = Instant::now();
        loop {
            let counted = self.look()?;
            let missed = counted.kernel_drops + counted.dropped;
            let settled = counted.received + counted.kernel_drops >= self.sent
                && counted.acknowledged + missed >= self.sent;
            if settled || begun.elapsed() > patience {
                return Ok(counted);
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Flows that may be sent now.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    daily: bool,
    budget: f64,
    last: Instant,
}

impl Rate {
    /// So many flows a second, at the busiest time of the day if it follows the day.
    pub fn new(per_second: f64, daily: bool) -> Self {
        Self { per_second, daily, budget: 0.0, last: Instant::now() }
    }

    /// Waits until so many flows may be sent. What was missed while something else held the sender up is not made good in a burst.
    pub fn wait(&mut self, flows: usize, now_ns: i64) {
        let factor = if self.daily { daily(now_ns) } else { 1.0 };
        let rate = (self.per_second * factor).max(0.1);
        let elapsed = self.last.elapsed();
        self.last += elapsed;
        let most = (rate * 0.1).max(flows as f64);
        self.budget = (self.budget + rate * elapsed.as_secs_f64()).min(most);
        self.budget -= flows as f64;
        if self.budget < 0.0 {
            std::thread::sleep(Duration::from_secs_f64(-self.budget / rate));
        }
    }
}

/// Share of the busiest hour's traffic at a time of day (UTC): most at 20:00, least at 05:00 or so.
pub fn daily(now_ns: i64) -> f64 {
    let hour = (now_ns.rem_euclid(86_400_000_000_000)) as f64 / 3.6e12;
    let turn = std::f64::consts::TAU * (hour - 20.0) / 24.0;
    0.65 + 0.30 * turn.cos() + 0.05 * (2.0 * turn).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_busiest_in_the_evening() {
        let at = |hour: i64| daily(hour * 3_600_000_000_000);
        assert!((at(20) - 1.0).abs() < 1e-9);
        let hours: Vec<f64> = (0..24).map(at).collect();
        assert!(hours.iter().all(|factor| (0.3..=1.0).contains(factor)), "{hours:?}");
        assert!(at(8) < 0.45);
    }

    #[test]
    fn an_ingest_that_does_not_answer_once_is_asked_again() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ingest = std::thread::spawn(move || {
            for answers in [true, false, true] {
                let (mut asker, _) = listener.accept().unwrap();
                if answers {
                    let _ = asker.read(&mut [0; 1024]).unwrap();
                    let body = format!("{RECEIVED} 7\n");
                    write!(
                        asker,
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    )
                    .unwrap();
                }
            }
        });
        let mut window = Window::open(&address, 10).unwrap();
        assert_eq!(window.look().unwrap().received, 0, "counted since it was opened");
        assert_eq!(window.now.received, 7);
        ingest.join().unwrap();
    }

    #[test]
    fn a_rate_is_kept() {
        let mut rate = Rate::new(2000.0, false);
        let begun = Instant::now();
        (0..50).for_each(|_| rate.wait(10, 0));
        // Never faster; on a busy machine slower.
        let took = begun.elapsed().as_secs_f64();
        assert!((0.23..10.0).contains(&took), "{took}");
    }
}
