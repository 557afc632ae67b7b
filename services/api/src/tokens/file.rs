//! The file of tokens on disk.
//!
//! What must stay true: whoever reads it finds the old tokens or the new ones, whole, after a power cut too; of two changes at the same time none
//! is lost; and nobody but its owner can read it, who may be another than who runs `weir token`.

use super::{Tokens, TokensError};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Bytes of a file of tokens: some thousands of them.
const LARGEST: u64 = 1 << 20;

/// All tokens; none where there is no file.
pub(super) fn load(path: &Path) -> std::result::Result<Tokens, TokensError> {
    read(path)?.map_or_else(|| Ok(Tokens::default()), |text| parse(path, &text))
}

pub(super) fn parse(path: &Path, text: &str) -> std::result::Result<Tokens, TokensError> {
    Tokens::parse(text).map_err(|what| TokensError::Broken { path: path.to_owned(), what })
}

/// What the file holds; nothing where there is none.
pub(super) fn read(path: &Path) -> std::result::Result<Option<String>, TokensError> {
    let failed = |reason| TokensError::Io { doing: "read", path: path.to_owned(), reason };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    // A group may read: that is how a cluster hands a secret to the user of a container.
    if mode & 0o027 != 0 {
        return Err(TokensError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    (&file).take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(TokensError::Broken {
            path: path.to_owned(),
            what: "it is larger than a megabyte".into(),
        });
    }
    Ok(Some(text))
}

/// Changes the tokens, unless the change itself says no.
pub(super) fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut Tokens) -> std::result::Result<T, TokensError>,
) -> std::result::Result<T, TokensError> {
    let failed = |reason| TokensError::Io { doing: "written", path: path.to_owned(), reason };
    let whole = place(path).map_err(failed)?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    // Held until the end of this function. The file itself can't be locked: it is another one afterwards.
    let lock = File::open(folder).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut tokens = load(&whole)?;
    let changed = change(&mut tokens)?;
    let text = tokens.text().map_err(|error| failed(std::io::Error::other(error)))?;
    replace(&whole, &lock, &text).map_err(failed)?;
    Ok(changed)
}

/// Where the file lies, links followed, in a folder that is there.
fn place(path: &Path) -> Result<PathBuf> {
    if let Ok(whole) = fs::canonicalize(path) {
        return Ok(whole);
    }
    let whole = std::path::absolute(path)?;
    DirBuilder::new().recursive(true).create(whole.parent().unwrap_or(Path::new("/")))?;
    Ok(whole)
}

fn replace(path: &Path, folder: &File, text: &str) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let aside = path.with_file_name(name);
    // Of one that was killed; the lock says that nobody is at it.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let owned = fs::metadata(path).or_else(|_| folder.metadata())?;
    hand_over(&file, &owned)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    folder.sync_all()
}

/// What root makes for a service is the service's user's, who else could not read it; and a group that may read the file before it still may.
fn hand_over(file: &File, owned: &Metadata) -> Result<()> {
    let own = file.metadata()?;
    if own.uid() == 0 && owned.uid() != 0 {
        fchown(file, Some(owned.uid()), Some(owned.gid()))?;
    }
    // Where it can't be that group's, it is no other's.
    let is_of_group = || file.metadata().is_ok_and(|own| own.gid() == owned.gid());
    let of_group = || is_of_group() || fchown(file, None, Some(owned.gid())).is_ok();
    if owned.is_file() && owned.mode() & 0o040 != 0 && of_group() {
        file.set_permissions(Permissions::from_mode(0o640))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{create, list, revoke};

    fn names(path: &Path) -> Vec<String> {
        list(path).unwrap().into_iter().map(|token| token.name).collect()
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_made_for_its_owner_alone_with_its_folders_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/api/tokens.toml");
        assert_eq!(list(&path).unwrap(), []);
        create(&path, "cron", None).unwrap();
        fs::write(path.with_file_name("tokens.toml.new"), "half of o").unwrap();
        create(&path, "noc", None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        revoke(&path, "cron").unwrap();
        assert_eq!(names(&path), ["noc"]);
    }

    #[test]
    fn a_file_that_others_get_at_or_that_is_no_file_of_tokens_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        create(&path, "cron", None).unwrap();
        for (bits, taken) in [(0o600, true), (0o400, true), (0o640, true), (0o440, true)]
            .into_iter()
            .chain([0o604, 0o644, 0o660, 0o620, 0o601, 0o666].map(|bits| (bits, false)))
        {
            mode(&path, bits);
            assert_eq!(list(&path).is_ok(), taken, "{bits:o}");
            assert_eq!(matches!(create(&path, "cron", None), Err(TokensError::Taken(_))), taken, "{bits:o}");
        }
        let error = create(&path, "noc", None).err().unwrap().to_string();
        assert!(
            error.starts_with("api.tokens_file: /") && error.contains("(mode 666): chmod o-rwx,g-w /"),
            "{error}"
        );
        mode(&path, 0o600);
        for text in ["[[token]]\n".to_owned(), "#".repeat(1 << 20) + "\n"] {
            fs::write(&path, &text).unwrap();
            let error = create(&path, "noc", None).err().unwrap();
            assert!(matches!(error, TokensError::Broken { .. }), "{error}");
            assert!(fs::read_to_string(&path).unwrap() == text);
        }
    }

    #[test]
    fn a_group_that_may_read_the_file_still_may_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        create(&path, "cron", None).unwrap();
        for bits in [0o640, 0o440, 0o600, 0o400] {
            mode(&path, bits);
            create(&path, &format!("noc-{bits:o}"), None).unwrap();
            let is = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(is, bits | 0o200, "{bits:o}");
        }
    }

    #[test]
    fn of_changes_at_the_same_time_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        let made: Vec<String> = (0..16).map(|n| format!("n{n:02}")).collect();
        std::thread::scope(|scope| {
            for name in &made {
                scope.spawn(|| create(&path, name, None).map(drop).unwrap());
            }
        });
        let mut found = names(&path);
        found.sort();
        assert_eq!(found, made);
    }

    #[test]
    fn a_link_still_leads_to_the_file_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("tokens.toml"), folder.path().join("link"));
        create(&path, "cron", None).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        create(&link, "noc", None).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(&path), ["cron", "noc"]);
    }
}
