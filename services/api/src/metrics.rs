//! Metrics of the API: names, units and what they say.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Requests answered.
pub const REQUESTS: &str = "weir_api_requests_total";
/// Time that they took.
pub const SECONDS: &str = "weir_api_request_seconds";
/// Questions that are worked on.
pub const QUERIES: &str = "weir_api_queries";

/// Questions that ended without an answer.
pub const ABANDONED: &str = "weir_api_abandoned_total";

/// Requests that were refused before they were looked at.
pub const REFUSED: &str = "weir_api_refused_total";
/// Tokens that are valid.
pub const TOKENS: &str = "weir_api_tokens";
/// Whether the file of tokens can't be read.
pub const TOKENS_BROKEN: &str = "weir_api_tokens_broken";

/// Tells the recorder what each metric is.
pub fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Requests answered, by path and status.");
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "Time from a request's head to the head of its answer, by path."
    );
    describe_gauge!(QUERIES, Unit::Count, "Questions that are worked on.");
    describe_counter!(
        ABANDONED,
        Unit::Count,
        "Questions whose client went away before they were answered, or of which a statement failed; their others were ended."
    );
    describe_counter!(
        REFUSED,
        Unit::Count,
        "Requests refused whatever they ask for, by reason: host or page (not this machine's), no_token, unknown_token, expired_token."
    );
    describe_gauge!(TOKENS, Unit::Count, "Tokens that are valid now, where the API asks for tokens.");
    describe_gauge!(
        TOKENS_BROKEN,
        Unit::Count,
        "1 where api.tokens_file can't be read and the tokens count that it held before; the log says what is wrong."
    );
}
