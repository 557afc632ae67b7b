//! Metrics of the API: names, units and what they say.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Requests answered.
pub const REQUESTS: &str = "weir_api_requests_total";
/// Time that they took.
pub const SECONDS: &str = "weir_api_request_seconds";
/// Questions that are worked on.
pub const QUERIES: &str = "weir_api_queries";

/// Tells the recorder what each metric is.
pub fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Requests answered, by path and status.");
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "Time from a request's head to the head of its answer, by path."
    );
    describe_gauge!(QUERIES, Unit::Count, "Questions that are worked on.");
}
