//! A short list without an allocation.

use std::fmt;
use std::ops::{Deref, DerefMut};

use arrayvec::ArrayVec;

/// A list of at most `N` items that allocates nothing.
///
/// It is used as a slice. Lists are made from iterators; [`FromIterator`], [`Extend`] and [`push`](Self::push) panic
/// if there are more than `N` items, [`try_push`](Self::try_push) does not.
///
/// ```
/// # use layercast::rtp::descriptor::FrameDiffs;
/// let mut diffs: FrameDiffs = [12, 1].into_iter().collect();
/// diffs.push(3);
/// assert_eq!(diffs[..], [12, 1, 3]);
/// assert_eq!(diffs.iter().max(), Some(&12));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct List<T, const N: usize>(ArrayVec<T, N>);

impl<T, const N: usize> List<T, N> {
    /// A list without items.
    pub fn new() -> Self {
        Self(ArrayVec::new())
    }

    /// Appends an item.
    ///
    /// # Panics
    /// If the list has `N` items already.
    pub fn push(&mut self, item: T) {
        self.0.push(item);
    }

    /// Appends an item if there is room for it.
    ///
    /// # Errors
    /// The item, if the list has `N` items already.
    pub fn try_push(&mut self, item: T) -> Result<(), T> {
        self.0.try_push(item).map_err(|error| error.element())
    }

    /// The same list: quicker than a clone.
    pub(crate) fn copied(&self) -> Self
    where
        T: Copy,
    {
        let mut copy = Self::new();
        // It has as much room.
        let _ = copy.0.try_extend_from_slice(&self.0);
        copy
    }

    /// Removes all items.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T, const N: usize> FromIterator<T> for List<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T, const N: usize> Extend<T> for List<T, N> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.0.extend(items);
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T, const N: usize> IntoIterator for List<T, N> {
    type Item = T;
    type IntoIter = ListIntoIter<T, N>;

    fn into_iter(self) -> Self::IntoIter {
        ListIntoIter(self.0.into_iter())
    }
}

/// The items of a [`List`], by value.
#[derive(Debug)]
pub struct ListIntoIter<T, const N: usize>(arrayvec::IntoIter<T, N>);

impl<T, const N: usize> Iterator for ListIntoIter<T, N> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T, const N: usize> ExactSizeIterator for ListIntoIter<T, N> {}
