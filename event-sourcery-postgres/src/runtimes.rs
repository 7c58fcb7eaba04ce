//! What each runtime has of its own, so that no call waits for another runtime's: nobody may drive that any more. Runtimes of a
//! process are to each other as processes are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{self, Handle};

/// One value a runtime, there for as long as somebody has it.
#[derive(Debug)]
pub(crate) struct PerRuntime<T>(Mutex<Vec<(runtime::Id, Weak<T>)>>);

impl<T> Default for PerRuntime<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> PerRuntime<T> {
    /// The value of this runtime. Made, where nobody has it.
    pub(crate) fn here(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let here = Handle::current().id();
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = values.iter().find(|(runtime, _)| *runtime == here);
        if let Some(own) = own.and_then(|(_, own)| own.upgrade()) {
            return own;
        }
        values.retain(|(_, value)| value.strong_count() > 0);
        let own = Arc::new(make());
        values.push((here, Arc::downgrade(&own)));
        own
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn each_runtime_has_its_own_for_as_long_as_somebody_has_it_and_nothing_is_left_of_those_that_ended() {
        let values = PerRuntime::default();
        let runtime = || Builder::new_current_thread().build().unwrap();
        let here = |runtime: &runtime::Runtime, value| runtime.block_on(async { values.here(|| value) });
        let (one, other) = (runtime(), runtime());
        let (first, second) = (here(&one, 1), here(&other, 2));
        assert_eq!((*first, *second), (1, 2));
        assert_eq!(*here(&one, 3), 1);
        drop(first);
        assert_eq!(*here(&one, 4), 4);
        for number in 0..100 {
            here(&runtime(), number);
        }
        assert!(values.0.lock().unwrap().len() <= 2);
        drop(second);
    }
}
