//! What happens while a scenario runs: phases are sent, things go wrong when they are due, and at last rows are waited for.
//!
//! What must stay true: what goes wrong never holds up sending, and an act that the stack refuses, or an ingest that is there no more, ends the
//! run with what was done before it: that is compared and told.

use super::faults::{self, Done};
use super::sample::{Sample, locked};
use super::stack::Machine;
use super::{EVERY, judge};
use crate::generate::{Bounds, Generator, Load};
use crate::report::Step;
use crate::scenario::{Act, Event, Phase, Scenario};
use crate::verify::Excuse;
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Nothing more comes where no row has come for so long.
const QUIET: Duration = Duration::from_secs(45);
/// Nothing more is waited for then.
const MOST: Duration = Duration::from_secs(900);

/// Sends phase after phase, until something keeps it from sending: gives the steps that were done, and what that was.
pub(super) fn phases(
    generator: &mut Generator<'_>,
    scenario: &Scenario,
    latest: &Mutex<Sample>,
    stop: &AtomicBool,
) -> (Vec<Step>, Option<anyhow::Error>) {
    let mut steps = Vec::new();
    let sent = match all_phases(generator, scenario, latest, stop, &mut steps) {
        Ok(()) => generator.finish(),
        Err(error) => generator.end(None).and(Err(error)),
    };
    (steps, sent.err())
}

fn all_phases(
    generator: &mut Generator<'_>,
    scenario: &Scenario,
    latest: &Mutex<Sample>,
    stop: &AtomicBool,
    steps: &mut Vec<Step>,
) -> Result<()> {
    let told = || stop.load(Ordering::Relaxed);
    let now = || locked(latest).clone();
    // The first look is before the first packet.
    let waiting = Instant::now();
    while now().at_s == 0.0 && !told() && waiting.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(50));
    }
    'all: for phase in &scenario.phases {
        if phase.restarts {
            generator.restart_exporters();
        }
        for number in 0..phase.steps {
            let Phase { rate, step, garbage, for_s, .. } = phase;
            let load = Load { rate: rate + step * number as f64, garbage: *garbage };
            let bounds = Bounds { duration: Some(Duration::from_secs_f64(*for_s)), ..Bounds::default() };
            let (from, begun, before) = (now(), Instant::now(), generator.ledger().total().flows);
            let outcome = generator.send(load, bounds, stop);
            let sent = (generator.ledger().total().flows - before, begun.elapsed().as_secs_f64());
            seen(latest, generator.ledger().total().flows);
            let done = judge::step(load.rate, sent, &from, &now());
            let goes_on = done.kept_up || phase.steps == 1;
            steps.push(done);
            outcome?;
            if !goes_on || told() {
                break 'all;
            }
        }
    }
    Ok(())
}

/// Waits for a look at the end of sending: one that has all that was sent.
fn seen(latest: &Mutex<Sample>, sent: u64) {
    let begun = Instant::now();
    while locked(latest).sent < sent && begun.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Does what goes wrong, when it is due, until all is done, nothing is sent any more, or the stack does not do as it is told: gives what was
/// done, when nobody received, and what did not work.
pub(super) fn events(
    machine: &mut Machine,
    scenario: &Scenario,
    begun: Instant,
    over: impl Fn() -> bool,
) -> (Vec<Done>, Vec<Excuse>, Vec<String>) {
    let mut random = StdRng::seed_from_u64(scenario.network.seed);
    let (mut done, mut excuses) = (Vec::new(), Vec::new());
    let sleep_until = |at: f64| {
        while begun.elapsed().as_secs_f64() < at && !over() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut events: Vec<&Event> = scenario.events.iter().collect();
    events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    for event in events {
        sleep_until(event.at_s);
        for number in 0..event.times {
            let [least, most] = event.every_s;
            if number > 0 {
                sleep_until(begun.elapsed().as_secs_f64() + random.random_range(least..=most));
            }
            if over() {
                break;
            }
            let at_s = begun.elapsed().as_secs_f64();
            let outcome = match faults::inflict(machine, event, &mut random) {
                Ok(outcome) => outcome,
                Err(error) => {
                    let what = format!("{:?} {:?} at {at_s:.1} s: {error:#}", event.act, event.part);
                    return (done, excuses, vec![what]);
                }
            };
            machine.tell_processes();
            // What one had when it was killed it had received since it listened: nothing before counts as its own.
            let since = excuses.iter().map(|one: &Excuse| one.to).max().unwrap_or(i64::MIN);
            excuses
                .extend(outcome.excuses.into_iter().map(|one| Excuse { from: one.from.max(since), ..one }));
            done.push(Done {
                at_s,
                what: outcome.what,
                took_s: begun.elapsed().as_secs_f64() - at_s,
                kill: event.act == Act::Kill,
            });
        }
    }
    (done, excuses, Vec::new())
}

/// Waits until as many rows are there as flows were sent, or no more come.
pub(super) fn wait(latest: &Mutex<Sample>) {
    let begun = Instant::now();
    let (mut last, mut grown) = (0, Instant::now());
    loop {
        let now = locked(latest).clone();
        if now.stored > last {
            (last, grown) = (now.stored, Instant::now());
        }
        if now.stored >= now.sent || grown.elapsed() > QUIET || begun.elapsed() > MOST {
            // One more look, so that what the last batch cost is in the sums.
            std::thread::sleep(EVERY + EVERY);
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
