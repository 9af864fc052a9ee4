//! What a template was made from, and the name that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The layout of a template's folder and the meaning of its files. Part of every id, so raising it leaves all templates
/// of before unused.
pub const FORMAT: u32 = 1;

/// The facts that decide whether a frozen machine fits: image, emulator, memory and the like, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(BTreeMap<String, String>);

impl Key {
    /// The key with one fact more. A fact of that name that was there is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The value of a fact.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// 16 hexadecimal digits that change with every fact and with [`FORMAT`]: the name of the template's folder.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(FORMAT.to_le_bytes());
        for part in self.0.iter().flat_map(|(name, value)| [name, value]) {
            // With its length before each part, no two keys give the same bytes. 64 bits on every host.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The names of the facts that differ or that only one side has, in order.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.into_iter().filter(|name| self.get(name) != other.get(name)).cloned().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Key {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(facts: I) -> Self {
        Self(facts.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(facts: &[(&str, &str)]) -> Key {
        facts.iter().copied().collect()
    }

    #[test]
    fn the_id_changes_with_every_fact() {
        let base = key(&[("image", "debian-13"), ("memory", "768")]);
        let others = [
            key(&[("image", "debian-12"), ("memory", "768")]),
            key(&[("image", "debian-13"), ("memory", "769")]),
            key(&[("picture", "debian-13"), ("memory", "768")]),
            key(&[("image", "debian-13")]),
            base.clone().with("cpus", ""),
            Key::default(),
        ];
        let ids: BTreeSet<String> = others.iter().chain([&base]).map(Key::id).collect();
        assert_eq!(ids.len(), others.len() + 1, "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    }

    #[test]
    fn the_id_does_not_change_with_the_order() {
        assert_eq!(key(&[("a", "1"), ("b", "2")]).id(), key(&[("b", "2"), ("a", "1")]).id());
    }

    #[test]
    fn text_that_moves_between_name_and_value_is_another_key() {
        assert_ne!(key(&[("ab", "c")]).id(), key(&[("a", "bc")]).id());
        assert_ne!(key(&[("a", "b"), ("c", "d")]).id(), key(&[("a", "bcd")]).id());
    }

    #[test]
    fn the_difference_names_what_changed_and_what_is_missing() {
        let (old, new) =
            (key(&[("a", "1"), ("b", "2"), ("d", "4")]), key(&[("b", "3"), ("c", "3"), ("d", "4")]));
        assert_eq!(old.difference(&new), ["a", "b", "c"]);
        assert_eq!(new.difference(&old), ["a", "b", "c"]);
        assert!(old.difference(&old).is_empty());
    }
}
