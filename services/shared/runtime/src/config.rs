//! Loading of configuration: defaults, then a TOML file, then the environment, then flags; unknown keys are refused by their path.

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What all services share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Form of the log lines on standard error.
    pub log_format: LogFormat,
    /// What is logged, as `tracing` filters are written: `info`, `weir_sink=debug,info`.
    pub log_filter: String,
    /// Seconds that a service may take to drain after SIGTERM.
    pub drain_s: u64,
    /// Address of `/metrics`, `/livez` and `/readyz` of each service.
    pub admin: Admin,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: an object a line.
    Json,
}

/// Addresses of the services' own HTTP interface. Loopback unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Of `weir ingest`.
    pub ingest: String,
    /// Of `weir decoder`.
    pub decoder: String,
    /// Of `weir sink`.
    pub sink: String,
    /// Of `weir engine`.
    pub engine: String,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            ingest: "127.0.0.1:9401".into(),
            decoder: "127.0.0.1:9402".into(),
            sink: "127.0.0.1:9403".into(),
            engine: "127.0.0.1:9404".into(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { log_format: LogFormat::Text, log_filter: "info".into(), drain_s: 30, admin: Admin::default() }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file named is not there.
    #[error("configuration file {path} can't be read: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A key is unknown or has the wrong type.
    #[error("{key}: {what} (from {source_name})")]
    Key {
        /// Path of the key.
        key: String,
        /// What is wrong.
        what: String,
        /// Where the value came from.
        source_name: String,
    },
    /// A flag is not `key=value`.
    #[error("--set {0}: write key=value, such as --set bus.partitions=12")]
    Flag(String),
}

/// Environment variables start with this; `__` stands for the dot of a path: `WEIR_BUS__PARTITIONS`. Every key is in a section, so
/// that a variable without `__` is no key but a place for scripts, such as `WEIR_HOME`.
pub const ENVIRONMENT: &str = "WEIR_";

/// Loads a configuration. `flags` are `key=value` with TOML values, dots in keys.
pub fn load<C>(file: Option<&Path>, flags: &[String]) -> Result<C, LoadError>
where
    C: Serialize + DeserializeOwned + Default,
{
    let mut figment = Figment::from(Serialized::defaults(C::default()));
    if let Some(path) = file {
        std::fs::metadata(path)
            .map_err(|error| LoadError::File { path: path.to_owned(), reason: error.to_string() })?;
        figment = figment.merge(Toml::file_exact(path));
    }
    figment =
        figment.merge(Env::prefixed(ENVIRONMENT).filter(|name| name.as_str().contains("__")).split("__"));
    for flag in flags {
        let (key, value) = flag.split_once('=').ok_or_else(|| LoadError::Flag(flag.clone()))?;
        let value: toml::Value = format!("v = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        figment = figment.merge(Serialized::default(key, value));
    }
    figment.extract().map_err(|error| {
        let first = error.into_iter().next();
        let (mut key, mut what, mut source_name) =
            (String::new(), String::from("can't be read"), String::from("configuration"));
        if let Some(error) = first {
            key = error.path.join(".");
            what = error.kind.to_string();
            if let figment::error::Kind::UnknownField(field, known) = &error.kind {
                if error.path.last() != Some(field) {
                    key = if key.is_empty() { field.clone() } else { format!("{key}.{field}") };
                }
                what = format!("there is no such key; those here are {}", known.join(", "));
            }
            source_name = error.metadata.map_or(source_name, |metadata| metadata.name.into_owned());
        }
        LoadError::Key { key, what, source_name }
    })
}

/// JSON schema of a configuration, every key documented.
pub fn schema<C: JsonSchema>() -> Json {
    schemars::schema_for!(C).to_value()
}

/// `docs/configuration.md`: every key with its default and meaning, made from the schema and the defaults.
pub fn markdown<C: JsonSchema + Serialize + Default>() -> String {
    let schema = schema::<C>();
    let defaults = serde_json::to_value(C::default()).unwrap_or_default();
    let mut out = String::from(
        "# Configuration\n\nMade from the configuration's schema; a test holds it to the code. A TOML file (`--config FILE`), \
         then the environment (`WEIR_` and the path in capitals with `__` for dots: `WEIR_BUS__PARTITIONS=12`), then flags \
         (`--set bus.partitions=12`); the later wins. `weir config check` says what is wrong, `weir config print` shows \
         what is in force, `weir config schema` prints the JSON schema.\n",
    );
    section(&mut out, &schema, &schema, &defaults, "");
    out
}

fn resolved<'s>(root: &'s Json, mut schema: &'s Json) -> &'s Json {
    while let Some(name) = schema.get("$ref").and_then(Json::as_str) {
        match root.pointer(name.trim_start_matches('#')) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn one_line(schema: &Json) -> String {
    schema.get("description").and_then(Json::as_str).unwrap_or_default().replace('\n', " ")
}

fn section(out: &mut String, root: &Json, schema: &Json, defaults: &Json, path: &str) {
    let Some(properties) = resolved(root, schema).get("properties").and_then(Json::as_object) else { return };
    let is_table = |key: &str, schema: &Json| {
        resolved(root, schema).get("properties").is_some() && defaults.get(key).is_some_and(Json::is_object)
    };
    let leaves: Vec<_> = properties.iter().filter(|(key, schema)| !is_table(key, schema)).collect();
    if !path.is_empty() {
        let _ = write!(out, "\n## [{path}]\n\n{}\n", one_line(resolved(root, schema)));
    }
    if !leaves.is_empty() {
        out.push_str("\n| key | default | what it is |\n|---|---|---|\n");
    }
    for (key, schema) in leaves {
        let own = one_line(schema);
        let doc = if own.is_empty() { one_line(resolved(root, schema)) } else { own };
        let default = defaults
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| format!("`{value}`"))
            .unwrap_or_default();
        let _ = writeln!(out, "| `{key}` | {default} | {} |", doc.replace('|', "\\|"));
    }
    for (key, schema) in properties.iter().filter(|(key, schema)| is_table(key, schema)) {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        section(out, root, schema, &defaults[key], &path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Whole {
        /// The part.
        part: Config,
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = file("[part]\ndrain_s = 5\nlog_filter = 'debug'\n");
        let whole: Whole = load(Some(file.path()), &["part.drain_s=7".into()]).unwrap();
        assert_eq!((whole.part.drain_s, whole.part.log_filter.as_str()), (7, "debug"));
        assert_eq!(whole.part.admin, Admin::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_path_with_those_there_are() {
        let file = file("[part.admin]\nsnik = '127.0.0.1:1'\n");
        let error = load::<Whole>(Some(file.path()), &[]).unwrap_err().to_string();
        assert!(error.starts_with("part.admin.snik: there is no such key; those here are"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_by_its_path() {
        let error = load::<Whole>(None, &["part.drain_s='soon'".into()]).unwrap_err().to_string();
        assert!(error.starts_with("part.drain_s: "), "{error}");
        let error = load::<Whole>(None, &["part.log_format='xml'".into()]).unwrap_err().to_string();
        assert!(error.starts_with("part.log_format"), "{error}");
        assert!(
            load::<Whole>(Some(Path::new("/nowhere.toml")), &[])
                .unwrap_err()
                .to_string()
                .contains("/nowhere.toml")
        );
    }

    #[test]
    fn every_key_is_documented() {
        let text = markdown::<Whole>();
        assert!(
            text.contains("## [part.admin]") && text.contains("| `drain_s` | `30` | Seconds that"),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.ends_with("|  |")), "{text}");
    }
}
