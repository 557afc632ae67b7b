//! What people said of links: which interface is on which one, and when.
//!
//! What must stay true: a record gets the link that a question puts the minute of its end on (`links/members.rs` of the API). The latest word of
//! a link and exporter counts, and of an interface that a person put on a link nothing that rules say counts, at any time. Where people put it on
//! two at a time, it is on the one of which was said something last, and of those that were said at the same moment on the one whose id is last in
//! the order of bytes.

use super::links::Link;
use ahash::AHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_schemas::inventory::Classified;
use weir_schemas::{Ip, Time};

/// All that holds, of the exporters on a partition.
#[derive(Debug, Default)]
pub struct People {
    /// As `weir.inventory` has it, by key.
    words: BTreeMap<Vec<u8>, Word>,
    spells: AHashMap<Ip, Arc<Spells>>,
}

/// What somebody said of a link and an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What the link is, with its members on that exporter.
    pub link: Classified,
    /// When it was said, ns since the epoch.
    pub said: u64,
}

/// What people said of an exporter's interfaces, ready for its flows. Of an interface what was said last comes first.
#[derive(Debug, Default)]
pub struct Spells(AHashMap<u32, Vec<Spell>>);

/// A time on a link.
#[derive(Debug)]
struct Spell {
    /// Seconds since the epoch.
    from: u32,
    /// The same, not included.
    to: u32,
    link: Arc<Link>,
}

impl People {
    /// Takes a word in the place of the one of the same key, or takes that back. Gives the exporter of which something else holds now.
    pub fn take(&mut self, key: &[u8], word: Option<Word>) -> Option<Ip> {
        let exporter = key.first_chunk().copied().map(Ip)?;
        match word {
            Some(word) => self.words.insert(key.to_vec(), word),
            None => self.words.remove(key),
        };
        let behind = self.words.range(exporter.0.to_vec()..);
        let own = behind.take_while(|(key, _)| key.starts_with(&exporter.0)).map(|(_, word)| word);
        let spells = Spells::of(own);
        if spells.is_empty() {
            self.spells.remove(&exporter);
        } else {
            self.spells.insert(exporter, Arc::new(spells));
        }
        Some(exporter)
    }

    /// What holds of an exporter.
    pub fn of(&self, exporter: &Ip) -> Arc<Spells> {
        self.spells.get(exporter).cloned().unwrap_or_default()
    }
}

impl Spells {
    fn of<'w>(words: impl Iterator<Item = &'w Word>) -> Self {
        let mut words: Vec<_> = words.collect();
        words.sort_by_key(|Word { link, said }| std::cmp::Reverse((*said, &link.id)));
        let mut all: AHashMap<u32, Vec<Spell>> = AHashMap::default();
        for Word { link: word, .. } in words {
            let link = Arc::new(Link {
                name: word.name.clone(),
                provider: word.provider.clone(),
                connectivity: word.connectivity,
                neighbour_as: word.neighbour_as,
                capacity: word.capacity,
            });
            for member in word.members.iter().filter(|member| member.valid_from < member.valid_to) {
                let (from, to) = (member.valid_from, member.valid_to);
                all.entry(member.index).or_default().push(Spell { from, to, link: Arc::clone(&link) });
            }
        }
        Self(all)
    }

    /// True where nobody said anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The link that an interface was on at a time: `None` where nobody said anything of it, `Some(None)` where it was on none then.
    #[inline]
    pub fn link(&self, index: u32, at: Time) -> Option<Option<&Link>> {
        let spells = self.0.get(&index)?;
        let second = at.0.div_euclid(1_000_000_000);
        let held = spells.iter().find(|one| (i64::from(one.from)..i64::from(one.to)).contains(&second));
        Some(held.map(|one| &*one.link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::inventory::{Member, Record};

    const EDGE: Ip = Ip::v4([192, 0, 2, 9]);

    fn said(id: &str, members: &[(u32, u32, u32)]) -> (Vec<u8>, Word) {
        said_at(1, id, members)
    }

    fn said_at(said: u64, id: &str, members: &[(u32, u32, u32)]) -> (Vec<u8>, Word) {
        let member =
            |&(index, valid_from, valid_to): &(u32, u32, u32)| Member { index, valid_from, valid_to };
        let members = members.iter().map(member).collect();
        let link =
            Classified { id: id.into(), name: format!("name of {id}"), members, ..Classified::default() };
        (Record::Classified(link.clone()).key(&EDGE), Word { link, said })
    }

    fn link(people: &People, index: u32, second: i64) -> Option<Option<String>> {
        let spells = people.of(&EDGE);
        let link = spells.link(index, Time(second * 1_000_000_000 + 999_999_999));
        link.map(|link| link.map(|link| link.name.clone()))
    }

    #[test]
    fn an_interface_is_on_a_link_from_a_second_on_until_another_and_on_none_else() {
        let mut people = People::default();
        for (key, word) in
            [said("a", &[(3, 60, 120), (3, 300, u32::MAX), (4, 0, u32::MAX)]), said("b", &[(3, 120, 180)])]
        {
            assert_eq!(people.take(&key, Some(word)), Some(EDGE));
        }
        let at =
            [0, 59, 60, 119, 120, 179, 180, 299, 300, 4_000_000_000].map(|second| link(&people, 3, second));
        let (none, a, b) =
            (Some(None), Some(Some("name of a".to_owned())), Some(Some("name of b".to_owned())));
        let shown = [&none, &none, &a, &a, &b, &b, &none, &none, &a, &a].map(Clone::clone);
        assert_eq!(at, shown);
        assert_eq!(link(&people, 4, 1), a);
        assert_eq!(link(&people, 5, 1), None, "of it nobody said anything");
        assert!(people.of(&Ip::v4([192, 0, 2, 10])).is_empty());
    }

    /// As `what_two_say_at_once_is_one_link_at_any_time` of the API has it in SQL.
    #[test]
    fn of_two_links_that_have_an_interface_at_a_time_the_one_said_last_has_it() {
        let mut people = People::default();
        for (key, word) in [
            said_at(9, "x", &[(3, 120, 180), (4, 0, 99)]),
            said_at(7, "y", &[(3, 0, u32::MAX), (4, 0, 99)]),
            said_at(7, "z", &[(3, 60, 240)]),
        ] {
            people.take(&key, Some(word));
        }
        let at = [0, 60, 119, 120, 179, 180, 239, 240].map(|second| link(&people, 3, second).flatten());
        let named = |id: &str| Some(format!("name of {id}"));
        assert_eq!(at, ["y", "z", "z", "x", "x", "z", "z", "y"].map(named));
        assert_eq!(link(&people, 4, 9).flatten(), named("x"));
    }

    #[test]
    fn the_latest_word_of_a_link_counts_and_a_link_without_members_is_no_word() {
        let mut people = People::default();
        let mut say = |(key, word): (Vec<u8>, Word), index| {
            people.take(&key, Some(word));
            link(&people, index, 9).is_some()
        };
        assert!(say(said("a", &[(3, 0, 99)]), 3));
        assert!(!say(said("a", &[(4, 0, 99)]), 3));
        assert!(!say(said("a", &[(4, 99, 99)]), 4), "a member for no time is none");
        assert!(say(said("a", &[(4, 0, 99)]), 4));
        assert!(!say(said("a", &[]), 4));
        let (key, word) = said("a", &[(4, 0, 99)]);
        people.take(&key, Some(word));
        people.take(&key, None);
        assert!(people.of(&EDGE).is_empty(), "a tombstone takes the word back");
    }
}
