//! Sending without transactions: idempotent, in order, bounded, counted.
//!
//! A record that was taken waits for its broker for as long as that takes: the bound on what waits is in bytes, and what comes when
//! it is reached is refused at once, so the newest is lost and counted rather than the oldest.

use super::reports::Reports;
use super::{failed, refused, writing};
use crate::{Config, Count, Delivered, Error, Full, Message, Result, Writer};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
struct Totals {
    /// Records that were told of, one way or the other.
    reported: u64,
    acked: Count,
    failed: BTreeMap<String, Count>,
}

#[derive(Debug, Default)]
struct Deliveries {
    reports: Reports,
    totals: Mutex<Totals>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.reports.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// Units that the record stands for.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, units: usize) {
        let (record, error) = match result {
            Ok(record) => (record, None),
            Err((error, record)) => (record, Some(error)),
        };
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.reported += 1;
        let count = match error {
            None => &mut totals.acked,
            Some(error) => {
                let reason =
                    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
                totals.failed.entry(reason).or_default()
            }
        };
        count.records += 1;
        count.units += units as u64;
        count.bytes += (record.key_len() + record.payload_len()) as u64;
    }
}

/// [`Writer`] on Kafka.
pub struct KafkaWriter {
    producer: BaseProducer<Deliveries>,
}

impl std::fmt::Debug for KafkaWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaWriter").field("delivered", &self.delivered()).finish_non_exhaustive()
    }
}

impl KafkaWriter {
    pub(super) fn open(config: &Arc<Config>, buffer_bytes: usize) -> Result<Self> {
        let producer = writing(config, "weir-writer", buffer_bytes)
            .set("message.timeout.ms", "0")
            .create_with_context(Deliveries::default())
            .map_err(refused)?;
        Ok(Self { producer })
    }

    fn reported(&self) -> u64 {
        self.producer.context().totals.lock().unwrap_or_else(PoisonError::into_inner).reported
    }
}

impl Writer for KafkaWriter {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(message.topic, units as usize)
            .partition(message.partition)
            .key(message.key);
        record.payload = message.value;
        if !message.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(message.headers.len());
            record.headers = Some(
                message
                    .headers
                    .iter()
                    .fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(*value) })),
            );
        }
        match self.producer.send(record) {
            Ok(()) => Ok(Ok(())),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(Err(Full)),
            Err((error, _)) => {
                let doing = format!("sending to {}/{}", message.topic, message.partition);
                Err(match self.producer.client().fatal_error() {
                    Some((code, reason)) => Error::Bus { doing, reason: format!("{code}: {reason}") },
                    None => failed(doing, error, Duration::ZERO),
                })
            }
        }
    }

    fn is_broken(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    fn give_up(&mut self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }

    fn poll(&mut self, timeout: Duration) {
        // Without a time to wait the wrapper takes one event, however many are there; what is not taken stays in the buffer. Errors are events
        // too, so two looks in a row must find nothing.
        let mut idle = 0;
        while idle < 2 {
            let before = self.reported();
            self.producer.poll(timeout);
            if !timeout.is_zero() {
                return;
            }
            idle = if self.reported() == before { idle + 1 } else { 0 };
        }
    }

    fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    fn delivered(&self) -> Delivered {
        let totals = self.producer.context().totals.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = totals.failed.iter().map(|(reason, count)| (reason.clone(), *count)).collect();
        Delivered { acked: totals.acked, failed }
    }

    fn flush(&mut self, timeout: Duration) -> bool {
        if self.producer.flush(timeout).is_ok() {
            return true;
        }
        self.give_up();
        // Purging only marks; the reports come through the same queue as all others.
        let _ = self.producer.flush(Duration::from_secs(1));
        false
    }
}
