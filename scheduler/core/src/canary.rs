//! Planted bugs that the simulator must find. In a product build every question is answered no.

/// Whether the planted bug of this name is switched on.
#[cfg(not(feature = "canaries"))]
#[inline(always)]
pub fn active(_name: &str) -> bool {
    false
}

#[cfg(feature = "canaries")]
thread_local! {
    static ACTIVE: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

/// Whether the planted bug of this name is switched on in this thread.
#[cfg(feature = "canaries")]
pub fn active(name: &str) -> bool {
    ACTIVE.with(|active| active.borrow().as_deref() == Some(name))
}

/// Switches one planted bug on in this thread, and every other off.
#[cfg(feature = "canaries")]
pub fn plant(name: Option<&str>) {
    ACTIVE.with(|active| *active.borrow_mut() = name.map(str::to_owned));
}
