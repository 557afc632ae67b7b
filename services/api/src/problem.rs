//! What is answered where there is no answer: a problem of RFC 9457, in words, with the place and the mend.

use crate::inventory::InventoryError;
use crate::query::AskError;
use crate::query::period::PeriodError;
use crate::query::request::RequestError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Documented, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};
use weir_filter::Fault;
use weir_store::StoreError;

/// RFC 9457, section 3.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A problem of RFC 9457. `type` says what kind it is and never changes its meaning; `detail` is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind it is, as a URN.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same in a few words.
    title: &'static str,
    /// Status of the answer.
    status: u16,
    /// What is wrong here and how to mend it.
    detail: String,
    /// Where in the body it is wrong, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// In a filter: where it is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Box<Place>>,
}

/// A place in a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// First character that is wrong, from 0.
    start: usize,
    /// The one behind the last; the same where something is missing.
    end: usize,
    /// What to write in their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
}

impl Problem {
    /// Of a kind (a URN), with a title and a status.
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { kind, title, status: status.as_u16(), detail: detail.into(), pointer: None, place: None }
    }

    /// Nothing is at this path.
    pub(crate) fn nothing_here() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:weir:problem:not-found",
            "Nothing is here",
            "the paths that there are stand in /api/v1/openapi.json",
        )
    }

    /// Metrics are those of a process, and stand with its other ones.
    pub(crate) fn metrics_elsewhere() -> Self {
        let detail = "metrics are at /metrics of runtime.admin.api, or of runtime.admin.standalone where all runs in one process";
        Self { detail: detail.to_owned(), ..Self::nothing_here() }
    }

    /// Something is at this path, for another method.
    pub(crate) fn other_method() -> Self {
        let detail = "this path is there for another method; /api/v1/openapi.json has them";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "urn:weir:problem:method", "Not this method", detail)
    }

    /// A body that can be read and makes no sense at this place.
    pub(crate) fn question(pointer: &str, detail: impl Into<String>) -> Self {
        let (kind, title) = ("urn:weir:problem:question", "This can't be asked");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail).at(pointer)
    }

    /// A defect of this program.
    pub(crate) fn defect(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a question has no answer: a defect");
        let detail = "the log of the API says what happened; please report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "urn:weir:problem:defect", "A defect of Weir", detail)
    }

    pub(crate) fn at(self, pointer: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..self }
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn filter(fault: &Fault, filter: &str) -> Self {
        let characters = |bytes: usize| filter.get(..bytes).unwrap_or(filter).chars().count();
        let place = Place {
            start: characters(fault.span.start),
            end: characters(fault.span.end),
            suggestion: fault.suggestion.clone(),
        };
        let problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "urn:weir:problem:filter",
            "The filter can't be read",
            fault.to_string(),
        );
        Self { place: Some(Box::new(place)), ..problem.at("/filter") }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let wrong = |pointer: &str| Self::question(pointer, error.to_string());
        match &error {
            RequestError::Filter { fault, filter } => Self::filter(fault, filter),
            RequestError::Top(_) | RequestError::Detailed(_) => wrong("/top"),
            RequestError::Zone(_) => wrong("/zone"),
            RequestError::Interval(_) => wrong("/interval"),
            RequestError::Dimensions(_) | RequestError::Apart => wrong("/by"),
            RequestError::Both => wrong("/last"),
            RequestError::Half { missing: key } | RequestError::Time { key, .. } => wrong(&format!("/{key}")),
            RequestError::Period(PeriodError::Duration(_)) => wrong("/last"),
            RequestError::Period(PeriodError::Gone { .. }) => wrong("/to"),
            RequestError::Period(PeriodError::NotMinutes { from, .. }) if from.is_multiple_of(60) => {
                wrong("/to")
            }
            RequestError::Period(_) => wrong("/from"),
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        // What ClickHouse says may hold names of its own machines; whoever runs Weir finds it in the log.
        tracing::warn!(%error, "a question has no answer");

        match &error {
            AskError::Store(error @ StoreError::Refused { .. }) if error.is_too_much() => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "urn:weir:problem:too-much",
                "Too much is asked at once",
                "the answer takes more time or memory than a question may; ask for a shorter time or fewer rows",
            ),
            AskError::Store(error) if error.is_unmade() => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:weir:problem:store-unmade",
                "There are no tables yet",
                "weir standalone makes them soon after its start; where ClickHouse is a server, weir migrate does",
            ),
            AskError::Store(error) if error.is_transient() => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:weir:problem:store-away",
                "ClickHouse does not answer",
                "what is stored can't be asked just now; what comes in is kept meanwhile, so ask again in a while",
            ),
            AskError::Gone(gone) => Self::defect(gone),
            AskError::Store(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "urn:weir:problem:store",
                "ClickHouse refuses the question",
                "the log of the API says why",
            ),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        AskError::from(error).into()
    }
}

impl From<InventoryError> for Problem {
    fn from(error: InventoryError) -> Self {
        tracing::warn!(%error, "what a person said was not written");
        match error {
            InventoryError::Full => Self::question("/members", error.to_string()),
            InventoryError::Bus(_) | InventoryError::Unacknowledged => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:weir:problem:bus-away",
                "The bus does not answer",
                "what was said may not be kept; say it again in a while",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// Every status that a route may answer with beside its own.
const STATUSES: [(u16, &str); 10] = [
    (400, "The body is no JSON"),
    (401, "Tokens are asked for, and none that is valid came"),
    (403, "Asked under a name, or by a page, that is not this machine's"),
    (408, "The body did not come in time"),
    (413, "The body is too large"),
    (415, "The body is not said to be JSON"),
    (422, "This can't be asked"),
    (500, "A defect of Weir"),
    (502, "ClickHouse refuses the question"),
    (503, "ClickHouse does not answer or has no tables yet, or too many ask"),
];

fn documented(statuses: impl Iterator<Item = (u16, &'static str)>) -> BTreeMap<String, RefOr<Documented>> {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let of = |(status, description): (u16, &str)| {
        let response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content()).build();
        (status.to_string(), RefOr::T(response))
    };
    statuses.map(of).collect()
}

impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        documented(STATUSES.into_iter())
    }
}

/// The problems of a route that takes no body and asks ClickHouse.
pub(crate) struct WithoutBody;

impl IntoResponses for WithoutBody {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        documented(STATUSES.into_iter().filter(|(status, _)| ![400, 408, 413, 415].contains(status)))
    }
}
