//! What was said of links and is not in the store yet.
//!
//! What must stay true: whoever says something of a link is held against all that was said before, also where the store lags, so that no interface is on
//! two links and no exporter keeps members that a later word leaves out. A word whose writing failed may come to be, so it is held like any other.
//! Where two processes say what excludes each other, neither knows of it: then members.rs decides.

use super::store::Latest;
use super::{Link, SaidBy};
use std::collections::BTreeMap;

/// Words that are held, at most: behind a store that stands still they would grow without end.
pub(crate) const MOST: usize = 100;

/// A word on its way.
#[derive(Clone, Debug)]
struct Word {
    /// Without members where it was taken back.
    link: Link,
    /// When it was said, ns, and for how many exporters.
    said: Latest,
}

/// All of them, by their links.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<String, Vec<Word>>);

impl Held {
    /// Links that something is held of.
    pub fn ids(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Whether no more can be held.
    pub fn is_full(&self) -> bool {
        self.0.values().map(Vec::len).sum::<usize>() >= MOST
    }

    /// Lets go of what the store has.
    pub fn forget(&mut self, stored: &BTreeMap<String, Latest>) {
        for (id, words) in &mut self.0 {
            let stored = stored.get(id).copied().unwrap_or_default();
            words.retain(|word| !stored.has(word.said));
        }
        self.0.retain(|_, words| !words.is_empty());
    }

    /// When something may be said of a link, so that it is the latest: now, unless a clock was put back.
    pub fn next(&self, id: &str, now: u64, stored: Latest) -> u64 {
        let held = self.0.get(id).into_iter().flatten().map(|word| word.said.version).max();
        now.max(stored.version + 1).max(held.map_or(0, |version| version + 1))
    }

    /// Holds a word until the store has it.
    pub fn hold(&mut self, link: Link, said: Latest) {
        self.0.entry(link.id.clone()).or_default().push(Word { link, said });
    }

    /// Links as they are when all that was said is there: `stored`, with the latest words in the places of theirs.
    pub fn over(&self, stored: Vec<Link>) -> Vec<Link> {
        let own = |link: &Link| link.said_by == SaidBy::Person && self.0.contains_key(&link.id);
        let mut all: Vec<_> = stored.into_iter().filter(|link| !own(link)).collect();
        let latest = self.0.values().filter_map(|words| words.last());
        all.extend(latest.filter(|word| !word.link.members.is_empty()).map(|word| word.link.clone()));
        all
    }

    /// Members that a link has or may have had when it was said last: in the store and in all words on their way. It is all that a new word may leave out.
    pub fn before(&self, id: &str, stored: &[Link]) -> Option<Link> {
        let stored = stored.iter().filter(|link| link.said_by == SaidBy::Person && link.id == id);
        let held = self.0.get(id).into_iter().flatten().map(|word| &word.link);
        stored.chain(held).cloned().reduce(|mut all, link| {
            all.members.extend(link.members);
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::{Interface, Member};

    fn link(id: &str, exporters: &[&str]) -> Link {
        let member = |exporter: &&str| Member {
            interface: Interface { exporter: (*exporter).to_owned(), if_index: 3, ..Interface::default() },
            valid_from: 0,
            valid_to: u32::MAX,
        };
        let (id, members) = (id.to_owned(), exporters.iter().map(member).collect());
        Link { name: format!("name of {id}"), id, said_by: SaidBy::Person, members, ..Link::default() }
    }

    fn said(version: u64, exporters: u64) -> Latest {
        Latest { version, exporters }
    }

    fn exporters(links: &[Link]) -> Vec<(&str, Vec<&str>)> {
        fn of(link: &Link) -> Vec<&str> {
            link.members.iter().map(|one| one.interface.exporter.as_str()).collect()
        }
        links.iter().map(|link| (link.id.as_str(), of(link))).collect()
    }

    #[test]
    fn what_was_said_last_is_in_the_place_of_what_the_store_has_until_it_has_it() {
        let mut held = Held::default();
        let stored = || vec![link("a", &["r1"]), link("c", &["r9"])];
        held.hold(link("a", &["r2"]), said(5, 2));
        held.hold(link("a", &["r3"]), said(7, 3));
        held.hold(link("b", &["r4"]), said(6, 1));
        assert_eq!(
            exporters(&held.over(stored())),
            [("c", vec!["r9"]), ("a", vec!["r3"]), ("b", vec!["r4"])]
        );
        // What a new word may leave out is what any of them may have told.
        let before = [held.before("a", &stored()).unwrap()];
        assert_eq!(exporters(&before), [("a", vec!["r1", "r2", "r3"])]);
        assert_eq!((held.next("a", 1, said(4, 1)), held.next("a", 9, said(4, 1))), (8, 9));
        // Of the second word the store has one exporter of three.
        held.forget(&BTreeMap::from([("a".to_owned(), said(7, 1)), ("b".to_owned(), said(6, 1))]));
        assert_eq!((held.ids(), held.0["a"].len()), (vec!["a".to_owned()], 1));
        held.forget(&BTreeMap::from([("a".to_owned(), said(8, 1))]));
        assert!(held.ids().is_empty(), "somebody said more since");
    }

    #[test]
    fn a_link_that_was_taken_back_is_none_though_the_store_has_it_yet() {
        let mut held = Held::default();
        held.hold(link("a", &[]), said(5, 1));
        assert!(held.over(vec![link("a", &["r1"])]).is_empty());
        // A rule's link of that name is another's.
        let rule = Link { said_by: SaidBy::Rule, ..link("a", &["r1"]) };
        assert_eq!(held.over(vec![rule.clone()]), std::slice::from_ref(&rule));
        assert!(Held::default().before("a", &[rule]).is_none(), "nobody said anything of it");
    }

    #[test]
    fn behind_a_store_that_stands_still_words_have_an_end() {
        let mut held = Held::default();
        for version in 0..MOST as u64 {
            assert!(!held.is_full());
            held.hold(link("a", &["r1"]), said(version, 1));
        }
        assert!(held.is_full());
    }
}
