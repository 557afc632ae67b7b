//! Where the parts lie that scripts fetch: `$WEIR_HOME`, or `.weir` beside the workspace's Cargo.toml.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The folder with the parts.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// From the environment, else the workspace's own.
    pub fn find() -> Self {
        Self(std::env::var_os("WEIR_HOME").map_or_else(|| Self::workspace().join(".weir"), PathBuf::from))
    }

    /// The workspace that this was built from.
    pub fn workspace() -> PathBuf {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().nth(2).unwrap_or(here).to_path_buf()
    }

    /// A part below this folder.
    ///
    /// # Errors
    /// [`Error::Missing`], with the script to run.
    pub fn part(&self, below: &str, what: &'static str, script: &'static str) -> Result<PathBuf> {
        let path = self.0.join(below);
        if path.exists() { Ok(path) } else { Err(Error::Missing { what, path, script }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_says_what_to_run() {
        let home = Home(PathBuf::from("/nowhere"));
        let error = home.part("kafka/lib", "Kafka", "scripts/fetch-kafka.sh").unwrap_err();
        assert_eq!(error.to_string(), "Kafka is not in /nowhere/kafka/lib; run scripts/fetch-kafka.sh");
    }

    #[test]
    fn the_workspace_is_where_the_scripts_are() {
        assert!(Home::workspace().join("scripts/fetch-kafka.sh").exists());
    }
}
