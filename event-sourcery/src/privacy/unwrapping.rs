//! Keys are unwrapped together, and one that cannot be does not keep others from it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures_util::FutureExt as _;

use super::keys::{DataKey, KeyWrapping, SubjectOf};
use crate::error::{Error, Result};

/// A key, or why it cannot be unwrapped.
type Unwrapped = Result<DataKey, Box<str>>;

/// Each key, or why it cannot be unwrapped: a call for all, and one more for each that cannot, without that.
pub(super) async fn unwrapped(
    waits: bool,
    wrapping: &dyn KeyWrapping,
    asked: &[(SubjectOf, Vec<u8>)],
) -> Result<Vec<Unwrapped>> {
    let (mut left, mut damaged) = (Cow::Borrowed(asked), BTreeMap::new());
    while !left.is_empty() {
        let answer = answered(waits, wrapping.unwrap(&left), &left).await;
        match answer {
            Ok(keys) if keys.len() == left.len() => return Ok(in_order(asked, keys, damaged)),
            Ok(_) => return Err(NOT_FOR_EVERY_KEY),
            Err(Error::KeyNotUnwrapped { problem, .. }) if asked.len() == 1 => return Ok(vec![Err(problem)]),
            Err(Error::KeyNotUnwrapped { subject, problem, .. }) => {
                let Some(place) = left.iter().position(|(of, _)| *of.subject == *subject) else {
                    return one_by_one(waits, wrapping, asked).await;
                };
                let (of, _) = left.to_mut().remove(place);
                damaged.insert(of, problem);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(in_order(asked, Vec::new(), damaged))
}

const NOT_FOR_EVERY_KEY: Error = Error::bug("what unwraps keys did not answer for every key");

/// The keys of those that are not damaged, and the problems of the others, in the order in which they were asked for.
fn in_order(
    asked: &[(SubjectOf, Vec<u8>)],
    keys: Vec<DataKey>,
    mut damaged: BTreeMap<SubjectOf, Box<str>>,
) -> Vec<Unwrapped> {
    let mut keys = keys.into_iter();
    asked.iter().filter_map(|(of, _)| damaged.remove(of).map(Err).or_else(|| keys.next().map(Ok))).collect()
}

/// Where it does not say which one is damaged, each is asked for alone.
async fn one_by_one(
    waits: bool,
    wrapping: &dyn KeyWrapping,
    asked: &[(SubjectOf, Vec<u8>)],
) -> Result<Vec<Unwrapped>> {
    let mut each = Vec::with_capacity(asked.len());
    for one in asked {
        let one = std::slice::from_ref(one);
        match answered(waits, wrapping.unwrap(one), one).await {
            Ok(mut keys) => each.push(Ok(keys.pop().ok_or(NOT_FOR_EVERY_KEY)?)),
            Err(Error::KeyNotUnwrapped { problem, .. }) => each.push(Err(problem)),
            Err(error) => return Err(error),
        }
    }
    Ok(each)
}

/// What a call to what wraps keys comes to; where it cannot be waited for, it has to answer at once.
pub(super) async fn answered<T, K>(
    waits: bool,
    call: impl Future<Output = Result<T>>,
    asked: &[(SubjectOf, K)],
) -> Result<T> {
    if waits {
        return call.await;
    }
    let subject = || asked.first().map(|(of, _)| of.subject.to_string()).unwrap_or_default();
    call.now_or_never().unwrap_or_else(|| Err(Error::KeyNotAtHand { subject: subject() }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::stream_id::TenantId;

    /// What a damaged key looks like.
    const DAMAGED: u8 = 0xFF;

    /// Unwraps what is not damaged, and counts how often it is asked.
    #[derive(Debug)]
    struct Service {
        /// Whether it says which key it refuses.
        names: bool,
        calls: AtomicUsize,
    }

    #[async_trait]
    impl KeyWrapping for Service {
        fn name(&self) -> &str {
            "service"
        }

        async fn wrap(&self, _: &[(SubjectOf, DataKey)]) -> Result<Vec<Vec<u8>>> {
            Ok(Vec::new())
        }

        async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> Result<Vec<DataKey>> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if let Some((of, _)) = keys.iter().find(|(_, bytes)| bytes[0] == DAMAGED) {
                let subject = if self.names { of.subject.to_string() } else { String::new() };
                let problem = format!("{} is damaged", of.subject).into();
                return Err(Error::KeyNotUnwrapped { subject, by: self.name().to_owned(), problem });
            }
            Ok(keys.iter().map(|(_, bytes)| DataKey::from_bytes([bytes[0]; 32])).collect())
        }
    }

    /// How many calls it takes to unwrap so many keys, of which these are damaged.
    async fn calls(names: bool, count: u8, damaged: &[u8]) -> usize {
        let service = Service { names, calls: AtomicUsize::default() };
        let key = |number: u8| {
            let of = SubjectOf { tenant: TenantId::DEFAULT, subject: Arc::from(number.to_string()) };
            (of, vec![if damaged.contains(&number) { DAMAGED } else { number }])
        };
        let asked: Vec<_> = (0..count).map(key).collect();
        let keys = unwrapped(true, &service, &asked).await.unwrap();
        assert_eq!(keys.len(), asked.len());
        for (number, key) in (0..count).zip(keys) {
            match key {
                Ok(key) => assert!(!damaged.contains(&number) && *key.as_bytes() == [number; 32]),
                Err(problem) => {
                    assert!(damaged.contains(&number));
                    assert_eq!(&*problem, format!("{number} is damaged"));
                }
            }
        }
        service.calls.into_inner()
    }

    #[tokio::test]
    async fn a_damaged_key_costs_one_more_call_however_many_others_there_are() {
        assert_eq!(calls(true, 100, &[]).await, 1);
        assert_eq!(calls(true, 100, &[0]).await, 2);
        assert_eq!(calls(true, 100, &[99]).await, 2);
        assert_eq!(calls(true, 100, &[17, 3, 99]).await, 4);
        assert_eq!(calls(true, 3, &[0, 1, 2]).await, 3, "of none that is left nobody is asked");
        assert_eq!(calls(true, 1, &[0]).await, 1);
    }

    #[tokio::test]
    async fn where_it_is_not_said_which_one_is_damaged_each_is_asked_for_alone() {
        assert_eq!(calls(false, 1, &[0]).await, 1);
        assert_eq!(calls(false, 10, &[4]).await, 11);
    }
}
