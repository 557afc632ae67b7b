//! `weir redecode`: a past window of `weir.raw` is decoded again, and takes the place of what it was decoded to before.
//!
//! New rows are staged in a table of their own, under a decode generation of their own. Rollups are corrected by rows that are added like
//! any others (new less old), so nobody waits for this and nothing that comes meanwhile is lost. Then the staged rows come into `flows`
//! and the old ones go. Each step can be repeated, and how far it has come lies in the table `redecodes`; docs/redecode.md has the whole.

mod bound;
mod ledger;
mod passed;
mod report;
mod stage;
mod sum;
mod swap;
mod work;

pub use ledger::Entry;
pub use work::Work;

use anyhow::{Context, Result, bail};
use clap::Args;
use ledger::Phase;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_bus::Bus;
use weir_decoder::replay::Window;
use weir_schemas::Ip;

/// What was received may be on its way to the log for so long, s.
const SETTLED_S: u32 = 60;
const SECOND: i64 = 1_000_000_000;

/// The window on the command line.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Start of the window, by receive time, in seconds since the epoch.
    #[arg(long)]
    from: u32,
    /// End of the window (not included), in seconds since the epoch; at least a minute ago.
    #[arg(long)]
    to: u32,
    /// Only this exporter, by address; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    exporter: Vec<IpAddr>,
    /// Decodes and compares, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Swaps even where nothing of the window decodes to flows any more, so that those that are stored go and none come.
    #[arg(long)]
    empty: bool,
    /// Carries through what was cut off before and can't be resumed: the step in doubt counts as done, and the rollups may lack it.
    #[arg(long)]
    give_up: bool,
}

impl Request {
    fn window(&self) -> Result<Window> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
        if self.from >= self.to {
            bail!("--from {} is not before --to {}", self.from, self.to);
        }
        if u64::from(self.to) + u64::from(SETTLED_S) > now {
            bail!(
                "--to {} must be at least a minute ago (now is {now}): what was received may be on its way still",
                self.to
            );
        }
        Ok(Window {
            received: i64::from(self.from) * SECOND..i64::from(self.to) * SECOND,
            exporters: self.exporter.iter().map(|address| Ip::from(*address)).collect(),
        })
    }
}

/// Does what is asked for, and ends what was cut off before.
pub fn run<B: Bus>(work: &mut Work<'_, B>, request: &Request) -> Result<()> {
    let window = request.window()?;
    if !request.dry_run && resume(work, request)? {
        let same = work.last_done()?.is_some_and(|done| done.window() == window);
        if same {
            return Ok(());
        }
    }
    let generation = work.next_generation()?;
    let mut entry = stage::stage(work, generation, &window, request)?;
    report::tell(work, &entry)?;
    if request.dry_run {
        work.drop_staging(&entry.details.staging)?;
        work.say("nothing was changed: --dry-run");
        return Ok(());
    }
    sum::sum(work, &mut entry)?;
    swap::swap(work, &mut entry)
}

/// Ends what a run before has left: what was not staged whole is thrown away, what was is carried through. True where it was carried
/// through.
fn resume<B: Bus>(work: &mut Work<'_, B>, request: &Request) -> Result<bool> {
    let mut carried = false;
    for mut entry in work.unfinished()? {
        let generation = entry.generation;
        if entry.phase == Phase::Decoding {
            entry.phase = Phase::GivenUp;
            work.write(&mut entry)?;
            continue;
        }
        work.say(&format!(
            "generation {generation} was cut off when its flows were staged; it is carried through first"
        ));
        if request.give_up {
            sum::skip_doubtful(&mut entry);
        } else {
            sum::can_go_on(work, &entry)?;
        }
        // From here on whoever worked on it before is told so at its next step.
        work.write(&mut entry)?;
        sum::sum(work, &mut entry)?;
        swap::swap(work, &mut entry)?;
        carried = true;
    }
    work.drop_left_over()?;
    Ok(carried)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use bound::Bound;
    use ledger::Details;
    pub use work::tests::with_work;

    /// A redecode of a window and a range of partition 0 that is done.
    pub fn swapped((from, to): (i64, i64), (begin, end): (i64, i64)) -> Entry {
        let bound = Bound { begin, ..Bound::new(0, end) };
        let details = Details { bounds: vec![bound], ..Details::default() };
        Entry { generation: 1, from, to, phase: Phase::Swapped, details, version: 1 }
    }

    #[test]
    fn a_window_that_is_not_over_or_has_no_time_is_refused() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let request = |from, to| Request {
            from,
            to,
            exporter: Vec::new(),
            dry_run: false,
            empty: false,
            give_up: false,
        };
        assert!(request(now - 200, now - 100).window().is_ok());
        for (from, to) in [(now - 100, now - 30), (now - 100, now + 100), (now - 100, now - 100)] {
            assert!(request(from, to).window().is_err(), "{from} {to}");
        }
        let of = Request { exporter: vec!["192.0.2.1".parse().unwrap()], ..request(now - 200, now - 100) };
        assert_eq!(of.window().unwrap().exporters.first(), Some(&Ip::v4([192, 0, 2, 1])));
    }
}
