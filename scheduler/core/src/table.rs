//! A large table as copy-on-write pages: a snapshot is a clone that costs almost nothing.

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use std::sync::Arc;

/// Rows by key, in key order. Cloning shares all pages; editing copies the one page and the one row.
#[derive(Clone)]
pub struct Table<K, V> {
    rows: OrdMap<K, Arc<V>>,
}

impl<K: Ord + Clone, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.rows.len() == other.rows.len() && self.rows.iter().zip(other.rows.iter()).all(|(a, b)| a == b)
    }
}

impl<K: Ord + Clone, V: Clone> Default for Table<K, V> {
    fn default() -> Self {
        Table { rows: OrdMap::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(Arc::as_ref)
    }

    /// The row behind its own reference, for snapshots that outlive the table.
    pub fn share(&self, key: &K) -> Option<Arc<V>> {
        self.rows.get(key).cloned()
    }

    pub fn insert(&mut self, key: K, row: V) {
        self.rows.insert(key, Arc::new(row));
    }

    pub fn remove(&mut self, key: &K) -> Option<Arc<V>> {
        self.rows.remove(key)
    }

    /// The one way to change a row.
    pub fn edit<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.rows.get_mut(key).map(|row| change(Arc::make_mut(row)))
    }

    /// Changes the row, which is made first where there is none.
    pub fn edit_or_default<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> R) -> R
    where
        V: Default,
    {
        let row = self.rows.entry(key.clone()).or_default();
        change(Arc::make_mut(row))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.iter().map(|(key, row)| (key, row.as_ref()))
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.rows.iter().map(|(_, row)| row.as_ref())
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.rows.keys()
    }

    /// Rows that differ between this table and a later one, before and after. Pages that both share are skipped, so
    /// that this costs what was changed and not what there is.
    pub fn changes<'a>(
        &'a self,
        after: &'a Self,
    ) -> impl Iterator<Item = (&'a K, Option<&'a Arc<V>>, Option<&'a Arc<V>>)>
    where
        V: PartialEq,
    {
        self.rows.diff(&after.rows).map(|item| match item {
            DiffItem::Add(key, row) => (key, None, Some(row)),
            DiffItem::Update { old: (key, old), new: (_, new) } => (key, Some(old), Some(new)),
            DiffItem::Remove(key, row) => (key, Some(row), None),
        })
    }

    /// Rows from `key` on.
    pub fn from(&self, key: K) -> impl Iterator<Item = (&K, &V)> {
        self.rows.range(key..).map(|(key, row)| (key, row.as_ref()))
    }
}

impl<K: Ord + Clone + std::fmt::Debug, V: std::fmt::Debug> std::fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.rows.iter()).finish()
    }
}
