//! What librdkafka says by itself: to the log, to a counter, and kept as the reason for the next error.

use crate::metrics;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Mutex, PoisonError};

/// Keeps the last report of one client.
#[derive(Debug, Default)]
pub(super) struct Reports {
    last: Mutex<Option<String>>,
}

impl Reports {
    /// The last thing said, or that nothing was.
    pub(super) fn last(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().unwrap_or_else(|| "the client gave no reason".to_owned())
    }

    pub(super) fn keep(&self, words: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", fac, "{message}")
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", fac, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().map_or_else(|| "other".to_owned(), |code| format!("{code:?}"));
        tracing::debug!(target: "librdkafka", code, "{reason}");
        metrics::client_error(code);
        // That all are down says less than why the last one is.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.keep(reason.to_owned());
        }
    }
}

impl ConsumerContext for Reports {}
