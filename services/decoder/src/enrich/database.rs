//! AS and country databases: MaxMind files or CSV ranges, read whole, swapped as one.
//!
//! Reading never blocks the flow path: a new set is built beside the old one and swapped in. A file that is damaged leaves the old
//! set in force and is counted.

use super::ranges::{Builder, Ranges};
use maxminddb::{Reader, WithinOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;
use weir_schemas::{Country, Ip};

/// Where AS numbers and countries come from. Files end in `.mmdb` (MaxMind's format) or `.csv` (first address, last address, AS
/// number or country code, name).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// AS databases; several files add up, such as one for IPv4 and one for IPv6.
    pub asn: Vec<PathBuf>,
    /// Country databases.
    pub country: Vec<PathBuf>,
}

/// Why a database can't be used.
#[derive(Debug, Error)]
#[error("decoder.enrich.databases.{key}: {path}: {reason}")]
pub struct DatabaseError {
    /// Key of the configuration.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong, with the line where there is one.
    pub reason: String,
}

/// Where an address is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Origin AS; 0 where not known.
    pub asn: u32,
    /// Country; "none known" where it is not.
    pub country: Country,
}

/// A set of databases.
#[derive(Debug, Default)]
pub struct Databases {
    origins: Ranges<Origin>,
    names: HashMap<u32, String>,
    /// What tells the files it was read from from others.
    stamp: Vec<Option<Stamp>>,
}

/// Modification time, length, inode: archives often give every version of a file the same time.
type Stamp = (SystemTime, u64, u64);

fn stamp(config: &Config) -> Vec<Option<Stamp>> {
    let of = |path: &PathBuf| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len(), data.ino()))
    };
    config.asn.iter().chain(&config.country).map(of).collect()
}

impl Databases {
    /// Reads all files.
    pub fn read(config: &Config) -> Result<Self, DatabaseError> {
        let stamp = stamp(config);
        let mut names = HashMap::new();
        let mut asn = Builder::default();
        for path in &config.asn {
            read(path, "asn", &mut asn, &mut |record| {
                let number = record.number?;
                if let Some(name) = record.name.filter(|name| !name.is_empty()) {
                    names.entry(number).or_insert_with(|| name.to_owned());
                }
                Some(number)
            })?;
        }
        let mut country = Builder::default();
        for path in &config.country {
            read(path, "country", &mut country, &mut |record| {
                let [a, b] = Country::new(record.code?).0;
                Some(u32::from(a) << 8 | u32::from(b))
            })?;
        }
        let origins = asn.build_with(country, |asn, code| Origin {
            asn,
            country: Country([(code >> 8) as u8, code as u8]),
        });
        Ok(Self { origins, names, stamp })
    }

    /// True where a file is not the one that was read.
    pub fn is_stale(&self, config: &Config) -> bool {
        self.stamp != stamp(config)
    }

    /// Where an address is from.
    #[inline]
    pub fn origin(&self, address: &Ip) -> Origin {
        self.origins.get(address)
    }

    /// Names of ASes.
    pub fn names(&self) -> &HashMap<u32, String> {
        &self.names
    }
}

/// What a line or node says.
struct Found<'a> {
    number: Option<u32>,
    name: Option<&'a str>,
    code: Option<&'a str>,
}

fn read(
    path: &Path,
    key: &'static str,
    builder: &mut Builder,
    value: &mut dyn FnMut(Found<'_>) -> Option<u32>,
) -> Result<(), DatabaseError> {
    let failed = |reason: String| DatabaseError { key, path: path.to_owned(), reason };
    let before = builder.len();
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => read_csv(path, builder, value).map_err(failed)?,
        Some("mmdb") => read_mmdb(path, builder, value).map_err(failed)?,
        _ => return Err(failed("its name ends neither in .mmdb nor in .csv".into())),
    }
    if builder.len() == before {
        return Err(failed("there is nothing in it that could be looked up".into()));
    }
    Ok(())
}

fn read_csv(
    path: &Path,
    builder: &mut Builder,
    value: &mut dyn FnMut(Found<'_>) -> Option<u32>,
) -> Result<(), String> {
    let mut lines = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(path)
        .map_err(|error| error.to_string())?;
    let mut record = csv::StringRecord::new();
    while lines.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        let field = |n: usize| record.get(n).map(str::trim).unwrap_or_default();
        let ends = (field(0).parse::<IpAddr>(), field(1).parse::<IpAddr>());
        let found = Found { number: field(2).parse().ok(), name: record.get(3), code: Some(field(2)) };
        match (ends, value(found)) {
            ((Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))), Some(value)) => {
                builder.v4(first.into(), last.into(), value)
            }
            ((Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))), Some(value)) => {
                builder.v6(first.into(), last.into(), value)
            }
            // A first line of column names is usual.
            _ if line == 1 => {}
            _ => {
                return Err(format!(
                    "line {line} is not: first address, last address, AS number or country, name"
                ));
            }
        }
    }
    Ok(())
}

/// Both layouts in use: MaxMind's own and the flat one of ip-location-db.
#[derive(Deserialize)]
struct Node<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
    #[serde(borrow)]
    country_code: Option<&'a str>,
    #[serde(borrow)]
    country: Option<CountryNode<'a>>,
    #[serde(borrow)]
    registered_country: Option<CountryNode<'a>>,
}

#[derive(Deserialize)]
struct CountryNode<'a> {
    iso_code: Option<&'a str>,
}

fn read_mmdb(
    path: &Path,
    builder: &mut Builder,
    value: &mut dyn FnMut(Found<'_>) -> Option<u32>,
) -> Result<(), String> {
    let text = |error: maxminddb::MaxMindDbError| error.to_string();
    let reader = Reader::open_readfile(path).map_err(text)?;
    let all = if reader.metadata().ip_version == 4 { "0.0.0.0/0" } else { "::/0" };
    let all = all.parse().map_err(|_| "not a network".to_owned())?;
    for item in reader.within(all, WithinOptions::default()).map_err(text)? {
        let item = item.map_err(text)?;
        let network = item.network().map_err(text)?;
        let Some(node) = item.decode::<Node<'_>>().map_err(text)? else { continue };
        let code = node
            .country_code
            .or(node.country.and_then(|c| c.iso_code))
            .or(node.registered_country.and_then(|c| c.iso_code));
        let found =
            Found { number: node.autonomous_system_number, name: node.autonomous_system_organization, code };
        let Some(value) = value(found) else { continue };
        let host_bits = |bits: u32| bits - u32::from(network.prefix()).min(bits);
        match network.ip() {
            IpAddr::V4(first) => {
                let first = u32::from(first);
                builder.v4(first, first | u32::MAX.checked_shr(32 - host_bits(32)).unwrap_or(0), value);
            }
            IpAddr::V6(first) => {
                let first = u128::from(first);
                let last = first | u128::MAX.checked_shr(128 - host_bits(128)).unwrap_or(0);
                match (first >> 32, last >> 32) {
                    // An IPv6 tree holds IPv4 under ::/96.
                    (0, 0) if first > 1 => builder.v4(first as u32, last as u32, value),
                    _ => builder.v6(first, last, value),
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ip {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn csv_ranges_of_both_families_give_as_name_and_nothing_in_between() {
        let text = "1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n2001:200::,2001:200:ffff::,2500,WIDE\n";
        let (_folder, path) = file("asn.csv", text);
        let databases = Databases::read(&Config { asn: vec![path], ..Config::default() }).unwrap();
        assert_eq!(databases.origin(&ip("1.0.0.77")).asn, 13335);
        assert_eq!(databases.origin(&ip("1.0.1.0")).asn, 0);
        assert_eq!(databases.origin(&ip("2001:200:1::")).asn, 2500);
        assert_eq!(databases.names()[&13335], "Cloudflare, Inc.");
        assert_eq!(databases.origin(&ip("1.0.0.77")).country.as_str(), "");
    }

    #[test]
    fn a_bad_line_or_file_is_named_with_its_key() {
        let read = |path: &Path| {
            Databases::read(&Config { asn: vec![path.to_owned()], ..Config::default() })
                .unwrap_err()
                .to_string()
        };
        let (_folder, path) = file("asn.csv", "1.0.0.0,1.0.0.255,13335,x\nnonsense\n");
        assert!(
            read(&path).ends_with("line 2 is not: first address, last address, AS number or country, name")
        );
        assert!(
            read(Path::new("/nowhere/asn.csv"))
                .starts_with("decoder.enrich.databases.asn: /nowhere/asn.csv: ")
        );
        let (_folder, path) = file("broken.mmdb", "this is no database");
        assert!(read(&path).contains("broken.mmdb"));
        let (_folder, path) = file("empty.csv", "");
        assert!(read(&path).contains("nothing in it"));
    }

    #[test]
    fn a_changed_file_makes_the_set_stale() {
        let (_folder, path) = file("asn.csv", "1.0.0.0,1.0.0.255,13335,x\n");
        let config = Config { asn: vec![path.clone()], ..Config::default() };
        let databases = Databases::read(&config).unwrap();
        assert!(!databases.is_stale(&config));
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(databases.is_stale(&config));
    }

    /// MaxMind's own test databases, where they are at hand.
    #[test]
    fn maxmind_files_give_what_their_source_data_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/captures/maxmind+MaxMind-DB/test-data");
        if !folder.is_dir() {
            println!("skipped: {} is not there", folder.display());
            return;
        }
        let config = Config {
            asn: vec![folder.join("GeoLite2-ASN-Test.mmdb")],
            country: vec![folder.join("GeoIP2-Country-Test.mmdb")],
        };
        let databases = Databases::read(&config).unwrap();
        assert_eq!(databases.origin(&ip("1.128.0.1")).asn, 1221);
        assert_eq!(databases.names()[&1221], "Telstra Pty Ltd");
        assert_eq!(databases.origin(&ip("2.125.160.216")).country.as_str(), "GB");
    }
}
