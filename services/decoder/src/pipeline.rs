//! The decoder's whole path: poll → decode → produce → commit, in one transaction a cycle.
//!
//! Everything that a cycle did is thrown away when it fails, memory included: partitions are restored from `weir.state` and read
//! again from their committed offsets (docs/exactly-once.md, rules 1 to 5). Partitions come and go between cycles, never within one.

use crate::cycle::{Cycle, Failure, Trouble};
use crate::enrich::Enricher;
use crate::partition::{Partition, RawRecord, Shared};
use crate::restore::{Held, restore};
use crate::{Config, Error};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Event, GroupConsumer, Topics, Transactions, TxnError};
use weir_runtime::Stop;

/// One chain: a consumer, a producer, and the partitions that it holds.
pub struct Worker<B: Bus> {
    pub(crate) bus: B,
    pub(crate) topics: Topics,
    pub(crate) config: Arc<Config>,
    pub(crate) enricher: Arc<Enricher>,
    pub(crate) identity: String,
    pub(crate) consumer: B::Consumer,
    pub(crate) producer: B::Producer,
    pub(crate) reader: B::Reader,
    pub(crate) held: BTreeMap<i32, Held>,
    pub(crate) cycle: Cycle,
    pub(crate) trouble: Trouble,
    /// Names this creation of `weir.raw`; committed with every offset, so that offsets of another one are known as such.
    pub(crate) incarnation: String,
    /// True after a failure: what is in memory is void, and restored before anything is decoded.
    pub(crate) stale: bool,
    pub(crate) fenced: Option<Instant>,
}

impl<B: Bus> Worker<B> {
    /// Opens consumer and producer under the worker's stable identity, which fences a predecessor (rule 4).
    pub fn open(
        bus: &B,
        topics: &Topics,
        config: &Arc<Config>,
        enricher: &Arc<Enricher>,
        number: usize,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let identity = format!("{}-{}-{number}", config.group, config.instance);
        Ok(Self {
            producer: producer(bus, &identity, stop)?,
            consumer: bus.join(&config.group, &topics.raw, &identity)?,
            reader: bus.reader()?,
            bus: bus.clone(),
            topics: topics.clone(),
            config: Arc::clone(config),
            enricher: Arc::clone(enricher),
            identity,
            held: BTreeMap::new(),
            cycle: Cycle::default(),
            trouble: Trouble::default(),
            incarnation: String::new(),
            stale: false,
            fenced: None,
        })
    }

    /// Works until told to stop, then ends the cycle and lets go.
    pub fn run(mut self, stop: &Stop) -> Result<(), Error> {
        while !stop.is_cancelled() {
            let turned = if self.stale { self.recover() } else { self.listen().and_then(|()| self.turn()) };
            let turned = turned.and_then(|()| self.end_due_cycle());
            self.settle(turned, stop)?;
        }
        if !self.stale {
            let ended = self.end_cycle();
            self.settle(ended, stop)?;
        }
        if self.config.leave_on_stop {
            self.consumer.leave()?;
        }
        Ok(())
    }

    /// Takes the next event.
    fn turn(&mut self) -> Result<(), Failure> {
        let Self { consumer, producer, held, cycle, trouble, config, enricher, topics, .. } = self;
        match consumer.poll(cycle.patience(config)) {
            Ok(Event::Idle) => Ok(()),
            Ok(Event::Record(record)) => {
                let Some(held) = held.get_mut(&record.partition()) else { return Ok(()) };
                let raw = RawRecord { offset: record.offset(), key: record.key(), value: record.value() };
                cycle.begin(producer, enricher)?;
                cycle.decode(&raw, held, producer, topics, config, enricher, trouble)
            }
            Ok(Event::Assigned(partitions)) => {
                // Held from here on, so that whatever fails now, they are restored afterwards.
                self.expect(&partitions);
                self.end_cycle()?;
                self.take(&partitions)
            }
            Ok(Event::Revoked(partitions)) => {
                let ended = self.end_cycle();
                self.drop_held(&partitions);
                self.consumer.give_up(&partitions)?;
                ended
            }
            Ok(Event::Lost(partitions)) => {
                self.drop_held(&partitions);
                Err(Failure::Lost)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One try to get back to what is committed, after a failure. What the group says is heard first: partitions that are gone need no
    /// restore, and a member that does not listen never learns that it is none any more.
    fn recover(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + IDLE;
        while Instant::now() < until {
            match self.consumer.poll(Duration::ZERO) {
                Ok(Event::Idle) => break,
                // From before the failure: it is read again.
                Ok(Event::Record(_)) => {}
                Ok(Event::Assigned(partitions)) => self.expect(&partitions),
                Ok(Event::Revoked(partitions)) => {
                    self.drop_held(&partitions);
                    self.consumer.give_up(&partitions)?;
                }
                Ok(Event::Lost(partitions)) => self.drop_held(&partitions),
                // The restore looks at both ends of the log.
                Err(weir_bus::Error::OffsetOutOfRange { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let partitions: Vec<i32> = self.held.keys().copied().collect();
        self.take(&partitions)?;
        self.stale = false;
        Ok(())
    }

    fn expect(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.held.insert(*partition, Partition::held(*partition, &self.config, 0));
        }
        self.tell_held();
    }

    fn drop_held(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.held.remove(partition);
            metrics::gauge!(crate::metrics::PARKED_BYTES, "partition" => partition.to_string()).set(0.0);
        }
        self.tell_held();
    }

    fn tell_held(&self) {
        metrics::gauge!(crate::metrics::PARTITIONS, "worker" => self.identity.clone())
            .set(self.held.len() as f64);
    }

    fn end_due_cycle(&mut self) -> Result<(), Failure> {
        if self.cycle.is_due(&self.config, &self.trouble) { self.end_cycle() } else { Ok(()) }
    }

    /// Commits what the cycle has written, with the offsets of every partition that it wrote for (rule 3).
    fn end_cycle(&mut self) -> Result<(), Failure> {
        if self.cycle.is_open() {
            let positions = self.cycle.finish(
                &mut self.held,
                &mut self.producer,
                &self.topics,
                &self.config,
                &self.enricher,
                &self.incarnation,
            )?;
            self.producer.commit(&mut self.consumer, &positions)?;
            self.cycle.committed(&mut self.held, &mut self.trouble);
        }
        Ok(())
    }

    /// Restores partitions, writes what rules now say differently, and starts them.
    fn take(&mut self, partitions: &[i32]) -> Result<(), Failure> {
        if partitions.is_empty() {
            return Ok(());
        }
        let described = self.bus.describe(&[&self.topics.raw])?.pop().flatten();
        let missing = || weir_bus::Error::TopicMissing { topic: self.topics.raw.clone() };
        self.incarnation = described.ok_or_else(missing)?.incarnation;
        for held in restore(
            &mut self.consumer,
            &mut self.reader,
            partitions,
            &self.topics,
            &self.config,
            &self.enricher,
            &self.incarnation,
        )? {
            self.held.insert(held.state.number(), held);
        }
        self.follow()?;
        for partition in partitions {
            let held = self.held.get_mut(partition).ok_or(Failure::Lost)?;
            self.cycle.begin(&mut self.producer, &self.enricher)?;
            self.cycle.restored(held, &mut self.producer, &self.topics, &self.config, &self.enricher)?;
            match self.consumer.start(*partition, held.next) {
                Ok(()) => {}
                Err(weir_bus::Error::NotAssigned { .. }) => {
                    self.drop_held(&[*partition]);
                    return Err(Failure::Lost);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.cycle.has_written() { self.end_cycle() } else { Ok(()) }
    }

    /// After a failure: throws memory away and leaves the way back to [`recover`](Self::recover) (rule 2). Fails where waiting can't
    /// help, or where there is no time left to wait: what was not committed is read again at the next start.
    fn settle(&mut self, turned: Result<(), Failure>, stop: &Stop) -> Result<(), Error> {
        let Err(failure) = turned else { return Ok(()) };
        self.trouble.note(&failure, &self.cycle, &self.config);
        let open = std::mem::take(&mut self.cycle).is_open();
        self.stale = true;
        let after = match failure {
            Failure::Fatal(error) => return Err(error),
            // It is gone already.
            Failure::Aborted { .. } => Ok(()),
            Failure::Fenced { identity, reason } => Err(TxnError::Fenced { identity, reason }),
            Failure::Producer(reason) => Err(TxnError::Failed { doing: "a transaction", reason }),
            _ if open => self.producer.abort(),
            _ => Ok(()),
        };
        if stop.is_cancelled() {
            return Ok(());
        }
        match after {
            Ok(()) => {}
            Err(TxnError::Fenced { identity, reason }) => {
                // A broker that aborted a transaction which took too long says the same as one that has another holder of the id.
                // Another holder fences again; then this one ends.
                if self.fenced.is_some_and(|before| before.elapsed() < FENCED_AGAIN) {
                    return Err(Error::Fenced { identity, reason });
                }
                self.fenced = Some(Instant::now());
                self.producer = producer(&self.bus, &self.identity, stop)?;
            }
            Err(_) => self.producer = producer(&self.bus, &self.identity, stop)?,
        }
        std::thread::sleep(self.trouble.back_off());
        Ok(())
    }
}

/// A second fencing within this time is another process of the same identity.
const FENCED_AGAIN: Duration = Duration::from_secs(60);

/// Opens a producer, however long the broker is away.
fn producer<B: Bus>(bus: &B, identity: &str, stop: &Stop) -> Result<B::Producer, Error> {
    loop {
        match bus.transactional(identity) {
            Err(error) if error.is_away() && !stop.is_cancelled() => {
                tracing::warn!("{error}");
                std::thread::sleep(Duration::from_secs(1));
            }
            other => return Ok(other?),
        }
    }
}

/// How long a poll may wait where nothing is under way.
pub(crate) const IDLE: Duration = Duration::from_millis(200);

/// What all frames of a cycle share.
pub(crate) fn shared<'s>(
    config: &'s Config,
    enricher: &'s Enricher,
    databases: &'s crate::enrich::database::Databases,
    topics: &'s Topics,
) -> Shared<'s> {
    Shared { config, enricher, databases, raw_topic: &topics.raw }
}

impl Partition {
    /// An empty partition that will be restored.
    pub(crate) fn held(number: i32, config: &Config, next: i64) -> Held {
        Held { state: Self::new(number, config), next, heard: 0, lost: 0 }
    }
}
