//! Planted bugs: a simulator that does not find them proves nothing.
