//! The decoder's whole path: poll → decode → produce → commit, in one transaction a cycle.
//!
//! Everything that a cycle did is thrown away when it fails, memory included: partitions are restored from `weir.state` and read
//! again from their committed offsets (EXACTLY_ONCE.md, rules 1 to 5). Partitions come and go between cycles, never within one.

use crate::cycle::{Cycle, Failure, Trouble};
use crate::enrich::Enricher;
use crate::partition::{Partition, RawRecord, Shared};
use crate::restore::{Held, restore};
use crate::{Config, Error};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
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
        let identity = format!("{}-{number}", config.instance);
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
        })
    }

    /// Works until told to stop, then ends the cycle and lets go.
    pub fn run(mut self, stop: &Stop) -> Result<(), Error> {
        while !stop.is_cancelled() {
            let turned = self.turn().and_then(|()| {
                if self.cycle.is_due(&self.config, &self.trouble) { self.end_cycle() } else { Ok(()) }
            });
            self.settle(turned, stop)?;
        }
        let ended = self.end_cycle();
        self.settle(ended, stop)?;
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
                self.end_cycle()?;
                self.take(&partitions)
            }
            Ok(Event::Revoked(partitions)) => {
                let ended = self.end_cycle();
                partitions.iter().for_each(|partition| drop(self.held.remove(partition)));
                self.consumer.give_up(&partitions)?;
                ended
            }
            Ok(Event::Lost(partitions)) => {
                partitions.iter().for_each(|partition| drop(self.held.remove(partition)));
                Err(Failure::Lost)
            }
            Err(error) => Err(error.into()),
        }
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
            )?;
            self.producer.commit(&mut self.consumer, &positions)?;
            self.cycle.committed(&self.held, &mut self.trouble);
        }
        Ok(())
    }

    /// Restores partitions, writes what rules now say differently, and starts them.
    fn take(&mut self, partitions: &[i32]) -> Result<(), Failure> {
        // Held from here on, so that a restore that fails is tried again by `settle`.
        for partition in partitions {
            self.held.insert(*partition, Partition::held(*partition, &self.config, 0));
        }
        for held in restore(
            &mut self.consumer,
            &mut self.reader,
            partitions,
            &self.topics,
            &self.config,
            &self.enricher,
        )? {
            self.held.insert(held.state.number(), held);
        }
        for partition in partitions {
            let held = self.held.get_mut(partition).ok_or(Failure::Lost)?;
            self.cycle.begin(&mut self.producer, &self.enricher)?;
            self.cycle.restored(held, &mut self.producer, &self.topics, &self.config, &self.enricher)?;
            match self.consumer.start(*partition, held.next) {
                Ok(()) => {}
                Err(weir_bus::Error::NotAssigned { .. }) => {
                    self.held.remove(partition);
                    return Err(Failure::Lost);
                }
                Err(error) => return Err(error.into()),
            }
        }
        metrics::gauge!(crate::metrics::PARTITIONS, "worker" => self.identity.clone())
            .set(self.held.len() as f64);
        if self.cycle.has_written() { self.end_cycle() } else { Ok(()) }
    }

    /// After a failure: throws memory away, restores, and goes back to the committed offsets (rule 2). Fails where waiting can't help,
    /// or where there is no time left to wait: what was not committed is read again at the next start.
    fn settle(&mut self, turned: Result<(), Failure>, stop: &Stop) -> Result<(), Error> {
        let mut turned = turned;
        while let Err(failure) = turned {
            self.trouble.note(&failure, &self.cycle, &self.config);
            let aborted = if self.cycle.is_open() { self.producer.abort() } else { Ok(()) };
            self.cycle = Cycle::default();
            match (failure, aborted) {
                (Failure::Fatal(error), _) => return Err(error),
                (Failure::Producer(_), _) | (_, Err(TxnError::Unknown { .. } | TxnError::Failed { .. })) => {
                    self.producer = producer(&self.bus, &self.identity, stop)?;
                }
                (_, Err(TxnError::Fenced { identity, reason })) => {
                    return Err(Error::Fenced { identity, reason });
                }
                _ => {}
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            std::thread::sleep(self.trouble.back_off());
            let partitions: Vec<i32> = self.held.keys().copied().collect();
            turned = self.take(&partitions);
        }
        Ok(())
    }
}

/// Opens a producer, however long the broker is away.
fn producer<B: Bus>(bus: &B, identity: &str, stop: &Stop) -> Result<B::Producer, Error> {
    loop {
        match bus.transactional(identity) {
            Err(error @ (weir_bus::Error::Unreachable { .. } | weir_bus::Error::Timeout { .. }))
                if !stop.is_cancelled() =>
            {
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
        Held { state: Self::new(number, config), next }
    }
}
