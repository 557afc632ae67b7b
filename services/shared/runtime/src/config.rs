//! Loading of configuration: defaults, then a TOML file, then the environment, then flags; unknown keys are refused by their path.

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
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

/// Addresses of the services' own HTTP interface: `/metrics`, `/livez`, `/readyz`. Loopback unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Of `weir standalone`.
    pub standalone: String,
    /// Of `weir ingest`.
    pub ingest: String,
    /// Of `weir decoder`.
    pub decoder: String,
    /// Of `weir sink`.
    pub sink: String,
    /// Of `weir engine`.
    pub engine: String,
    /// Of `weir api`.
    pub api: String,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            standalone: "127.0.0.1:9400".into(),
            ingest: "127.0.0.1:9401".into(),
            decoder: "127.0.0.1:9402".into(),
            sink: "127.0.0.1:9403".into(),
            engine: "127.0.0.1:9404".into(),
            api: "127.0.0.1:9405".into(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Text,
            log_filter: "info,fjall=warn,lsm_tree=warn".into(),
            drain_s: 30,
            admin: Admin::default(),
        }
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
    #[error("--set {0}: write key=value, such as --set decoder.workers=2")]
    Flag(String),
}

/// Environment variables start with this; `__` stands for the dot of a path: `WEIR_BUS__PARTITIONS`. Every key is in a section, so
/// that a variable without `__` is no key but a place for scripts, such as `WEIR_HOME`.
pub const ENVIRONMENT: &str = "WEIR_";

/// One value that was given by its path, and by whom.
struct Given {
    by: String,
    values: Dict,
}

impl Given {
    /// Where the path comes to a map from names to texts, the rest of it is one name, and the value is a text whatever it looks like:
    /// librdkafka's names have dots.
    fn new(by: String, path: &[&str], text: &str, parse: impl Fn(&str) -> Value, schema: &Json) -> Self {
        let mut keys: Vec<String> = Vec::new();
        let (mut at, mut value) = (schema, None);
        for (n, key) in path.iter().enumerate() {
            let here = resolved(schema, at);
            if here.get("properties").is_none()
                && let Some(names) = here.get("additionalProperties").filter(|names| names.is_object())
            {
                keys.push(path[n..].join("."));
                let is_text = resolved(schema, names).get("type").and_then(Json::as_str) == Some("string");
                value = is_text.then(|| Value::from(text));
                break;
            }
            keys.push((*key).to_owned());
            at = here.get("properties").and_then(|all| all.get(key)).unwrap_or(&Json::Null);
        }
        let mut value = value.unwrap_or_else(|| parse(text));
        let mut values = Dict::new();
        if let Some(first) = keys.first().cloned() {
            for key in keys.drain(1..).rev() {
                value = Value::from(Dict::from([(key, value)]));
            }
            values.insert(first, value);
        }
        Self { by, values }
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.by.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Loads a configuration. `flags` are `key=value` with TOML values, dots in keys.
pub fn load<C>(file: Option<&Path>, flags: &[String]) -> Result<C, LoadError>
where
    C: Serialize + DeserializeOwned + Default + JsonSchema,
{
    load_from(file, std::env::vars(), flags)
}

fn load_from<C>(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[String],
) -> Result<C, LoadError>
where
    C: Serialize + DeserializeOwned + Default + JsonSchema,
{
    let schema = schema::<C>();
    let mut figment = Figment::from(Serialized::defaults(C::default()));
    if let Some(path) = file {
        std::fs::metadata(path)
            .map_err(|error| LoadError::File { path: path.to_owned(), reason: error.to_string() })?;
        figment = figment.merge(Toml::file_exact(path));
    }
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(ENVIRONMENT).filter(|rest| rest.contains("__")) else { continue };
        let path = rest.to_ascii_lowercase();
        let path: Vec<&str> = path.split("__").collect();
        // As in a TOML file where it can be read so, otherwise a text.
        let parse = |text: &str| text.parse().unwrap_or_else(|_| Value::from(text));
        let by = format!("environment variable {name}");
        figment = figment.merge(Given::new(by, &path, &text, parse, &schema));
    }
    for flag in flags {
        let (key, value) = flag.split_once('=').ok_or_else(|| LoadError::Flag(flag.clone()))?;
        let parse = |text: &str| {
            let parsed =
                format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut all| all.remove("v"));
            parsed.and_then(|value| Value::serialize(value).ok()).unwrap_or_else(|| Value::from(text))
        };
        let path: Vec<&str> = key.split('.').collect();
        figment = figment.merge(Given::new(format!("--set {key}"), &path, value, parse, &schema));
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
         then the environment (`WEIR_` and the path in capitals with `__` for dots: `WEIR_DECODER__WORKERS=2`), then flags \
         (`--set decoder.workers=2`); the later wins. `weir config check` says what is wrong, `weir config print` shows \
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

/// The texts that a key may have, where it may not have any.
fn choices<'s>(root: &'s Json, schema: &'s Json) -> Vec<&'s str> {
    let schema = resolved(root, schema);
    let texts = |key: &str| schema.get(key).and_then(Json::as_array).into_iter().flatten();
    let own = schema.get("const").into_iter().chain(texts("enum")).filter_map(Json::as_str);
    let others = texts("oneOf").chain(texts("anyOf")).chain(schema.get("items"));
    own.chain(others.flat_map(|one| choices(root, one))).collect()
}

fn section(out: &mut String, root: &Json, schema: &Json, defaults: &Json, path: &str) {
    let Some(properties) = resolved(root, schema).get("properties").and_then(Json::as_object) else { return };
    let is_table = |key: &str, schema: &Json| {
        resolved(root, schema).get("properties").is_some() && defaults.get(key).is_some_and(Json::is_object)
    };
    let leaves: Vec<_> = properties.iter().filter(|(key, schema)| !is_table(key, schema)).collect();
    if !path.is_empty() {
        // Of what is said of the key and of its type the one that says more.
        let docs = [one_line(schema), one_line(resolved(root, schema))];
        let doc = docs.into_iter().max_by_key(String::len).unwrap_or_default();
        let _ = write!(out, "\n## [{path}]\n\n{doc}\n");
    }
    if !leaves.is_empty() {
        out.push_str("\n| key | default | what it is |\n|---|---|---|\n");
    }
    for (key, schema) in leaves {
        let own = one_line(schema);
        let mut doc = if own.is_empty() { one_line(resolved(root, schema)) } else { own };
        let choices: Vec<_> = choices(root, schema).iter().map(|choice| format!("`{choice}`")).collect();
        if !choices.is_empty() {
            let list = resolved(root, schema).get("items").is_some();
            let _ = write!(doc, " {} of {}.", if list { "Any" } else { "One" }, choices.join(", "));
        }
        let default = defaults
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| format!("`{value}`"))
            .unwrap_or_default();
        let _ = writeln!(out, "| `{key}` | {default} | {} |", doc.replace('|', "\\|"));
    }
    // A table in a table of an array is written under one path.
    let within = path.trim_start_matches('[').trim_end_matches(']');
    let longer = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{within}.{key}") };
    for (key, schema) in properties.iter().filter(|(key, schema)| is_table(key, schema)) {
        section(out, root, schema, &defaults[key], &longer(key));
    }
    for (key, schema) in properties {
        let Some(item) = resolved(root, schema).get("items").map(|item| resolved(root, item)) else {
            continue;
        };
        let Some(of_item) = item.get("properties").and_then(Json::as_object) else { continue };
        let of = |schema: &Json| schema.get("default").cloned().unwrap_or_default();
        let defaults = of_item.iter().map(|(key, schema)| (key.clone(), of(schema))).collect();
        section(out, root, item, &Json::Object(defaults), &format!("[{}]", longer(key)));
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
        /// Texts by name.
        names: std::collections::BTreeMap<String, String>,
        /// Rows.
        rows: Vec<Row>,
    }

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Row {
        /// What a row holds.
        held: u32,
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
    fn names_with_dots_can_be_set_from_everywhere_and_are_texts() {
        let environment =
            [("WEIR_NAMES__SASL__PASSWORD", "123"), ("WEIR_PART__DRAIN_S", "9"), ("WEIR_HOME", "x")];
        let environment = environment.map(|(name, text)| (name.to_owned(), text.to_owned())).into_iter();
        let flags = ["names.security.protocol=ssl".into(), "names.retries.ms=true".into()];
        let whole: Whole = load_from(None, environment, &flags).unwrap();
        let names = [("retries.ms", "true"), ("sasl.password", "123"), ("security.protocol", "ssl")];
        assert_eq!(whole.names, names.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
        assert_eq!(whole.part.drain_s, 9);
        let wrong = [("WEIR_PART__DRAIN_S".to_owned(), "soon".to_owned())].into_iter();
        let error = load_from::<Whole>(None, wrong, &[]).unwrap_err().to_string();
        assert!(error.starts_with("part.drain_s: ") && error.contains("WEIR_PART__DRAIN_S"), "{error}");
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
        assert!(
            text.contains("## [[rows]]") && text.contains("| `held` | `0` | What a row holds."),
            "{text}"
        );
    }
}
