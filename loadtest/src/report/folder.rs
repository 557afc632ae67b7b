//! A folder of reports: three files of each, and one about all.

use super::{Report, index, markdown, page};
use crate::scenario::NAMES;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// Writes `NAME.md`, `NAME.html` and `NAME.json`, and `index.md` about all reports that lie there.
///
/// # Errors
/// With the path that can't be written or read.
pub fn write(folder: &Path, report: &Report) -> Result<()> {
    let name = &report.scenario.name;
    put(folder, &format!("{name}.md"), &markdown(report))?;
    put(folder, &format!("{name}.html"), &page(report))?;
    put(folder, &format!("{name}.json"), &(serde_json::to_string(report)? + "\n"))?;
    put(folder, "index.md", &index(&read(folder)?))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

/// Removes a scenario's report, and its line about all reports, before it is run again: one of before is not to stand for a run that broke.
///
/// # Errors
/// With the path that can't be removed, read or written.
pub fn remove(folder: &Path, name: &str) -> Result<()> {
    for end in ["md", "html", "json"] {
        let path = folder.join(format!("{name}.{end}"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", path.display()));
            }
            _ => {}
        }
    }
    put(folder, "index.md", &index(&read(folder)?))
}

/// The built-in scenarios' reports that lie there, in their order, then those of others. What is no report of this release is named on
/// standard error and left out.
///
/// # Errors
/// With the path that can't be read.
pub fn read(folder: &Path) -> Result<Vec<Report>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_suffix(".json").map(str::to_owned)
    });
    let place = |name: &str| NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len());
    let names: BTreeSet<(usize, String)> = names.map(|name| (place(&name), name)).collect();
    let mut reports = Vec::new();
    for (_, name) in names {
        let path = folder.join(name + ".json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        match serde_json::from_str(&text) {
            Ok(report) => reports.push(report),
            Err(error) => eprintln!("{} is no report of this release and left out: {error}", path.display()),
        }
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::passed;

    #[test]
    fn reports_are_read_in_the_scenarios_order_and_what_is_none_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["zombies", "of-mine", "smoke"] {
            let text = format!("name = '{name}'\nabout = ''\n[[phase]]\nfor_s = 1\nrate = 1\n");
            write(folder.path(), &passed(&text)).unwrap();
        }
        std::fs::write(folder.path().join("other.json"), "{}").unwrap();
        let reports = read(folder.path()).unwrap();
        let names: Vec<_> = reports.iter().map(|report| report.scenario.name.as_str()).collect();
        assert_eq!(names, ["smoke", "zombies", "of-mine"]);
        let lines = || {
            let made = std::fs::read_to_string(folder.path().join("index.md")).unwrap();
            made.lines().filter(|line| line.starts_with("| [")).count()
        };
        assert_eq!(lines(), 3);
        remove(folder.path(), "zombies").unwrap();
        assert_eq!((read(folder.path()).unwrap().len(), lines()), (2, 2));
        remove(folder.path(), "zombies").unwrap();
        std::fs::create_dir(folder.path().join("late.json")).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("late.json"));
    }
}
