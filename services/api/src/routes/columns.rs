//! `GET /api/v1/columns`

use crate::problem::{MEDIA_TYPE, Problem};
use crate::query::field::{Dimension, FIELDS};
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use weir_filter::Kind;

/// What can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Columns {
    /// What rows can be grouped by.
    dimensions: Vec<Named>,
    /// What filters name.
    fields: Vec<Field>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Named {
    /// How questions name it.
    name: &'static str,
    /// What it is.
    doc: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
struct Field {
    #[serde(flatten)]
    named: Named,
    /// What its values look like.
    values: String,
    /// All values there are, where these are few words.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    words: &'static [&'static str],
}

impl Columns {
    /// All there are.
    pub fn all() -> Self {
        let dimensions =
            Dimension::ALL.iter().map(|one| Named { name: one.name(), doc: one.doc() }).collect();
        let field = |field: &weir_filter::Field| Field {
            named: Named { name: field.name, doc: field.doc },
            values: field.kind.wanted(),
            words: if let Kind::Word(words) = field.kind { words } else { &[] },
        };
        Self { dimensions, fields: FIELDS.iter().map(field).collect() }
    }
}

/// What rows can be grouped by, and what filters name.
#[utoipa::path(
    get,
    path = "/columns",
    operation_id = "columns",
    responses(
        (status = 200, description = "What there is", body = Columns),
        (status = 401, description = "Tokens are asked for, and none that is valid came", body = Problem, content_type = MEDIA_TYPE),
        (status = 403, description = "Asked under a name, or by a page, that is not this machine's", body = Problem, content_type = MEDIA_TYPE),
    )
)]
pub async fn get() -> Json<Columns> {
    Json(Columns::all())
}
