//! One computation at a time for all who ask for its result: [`Flights`] by key, kept for the run, and [`Renewal`] for what
//! expires.
//!
//! No lock is held while anything is awaited, and the computation is a task of its own, so that it goes on whether or not the
//! one who asked first is polled, or is still there. A fair lock over I/O hangs as soon as its next owner is not polled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::error::{Error, Result};

type Outcome<V> = Option<Result<V, Arc<Error>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a computation of someone else's.
async fn landed<V: Clone>(mut flying: watch::Receiver<Outcome<V>>) -> Result<V> {
    let outcome = flying.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    match outcome {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(error.copy()),
        // Only a panic ends the task without a result.
        None => Err(Error::io("finish a computation", std::io::Error::other("it ended without a result"))),
    }
}

/// Results by key. Successes are kept, failures are told to everyone who waits and then forgotten.
pub(crate) struct Flights<K, V>(Arc<Mutex<BTreeMap<K, Slot<V>>>>);

enum Slot<V> {
    Done(V),
    Flying(watch::Receiver<Outcome<V>>),
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Flights(self.0.clone())
    }
}

impl<K, V> std::fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Flights(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The result for `key`; `make` is asked unless someone asked before.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) async fn get<F>(&self, key: K, make: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let flying = {
            let mut slots = lock(&self.0);
            match slots.get(&key) {
                Some(Slot::Done(value)) => return Ok(value.clone()),
                // One whose task is gone without a result is begun anew.
                Some(Slot::Flying(flying)) if flying.borrow().is_some() || flying.has_changed().is_ok() => {
                    flying.clone()
                }
                _ => {
                    let (sender, receiver) = watch::channel(None);
                    slots.insert(key.clone(), Slot::Flying(receiver.clone()));
                    let (slots, work) = (self.0.clone(), make());
                    tokio::spawn(async move {
                        let outcome = work.await;
                        {
                            let mut slots = lock(&slots);
                            match &outcome {
                                Ok(value) => slots.insert(key, Slot::Done(value.clone())),
                                Err(_) => slots.remove(&key),
                            };
                        }
                        sender.send_replace(Some(outcome.map_err(Arc::new)));
                    });
                    receiver
                }
            }
        };
        landed(flying).await
    }
}

/// So long before its end a value is renewed, or half of its life before, where that is shorter.
const AHEAD: Duration = Duration::from_mins(3);
/// A value with less left is not handed out any more: what it is for takes time too. More than the SDK's own ten seconds.
const LEAST: Duration = Duration::from_secs(15);
/// After a renewal that failed while the value is still good.
const AGAIN: Duration = Duration::from_secs(10);

/// Something that is good until a time and made anew ahead of it, once for all who need it. Whoever still has a good one
/// does not wait for the next.
pub(crate) struct Renewal<V>(Arc<Mutex<Held<V>>>);

struct Held<V> {
    value: Option<Value<V>>,
    flying: Option<watch::Receiver<Outcome<V>>>,
}

struct Value<V> {
    inner: V,
    /// None: it does not expire.
    ends: Option<SystemTime>,
    renew: Option<SystemTime>,
}

impl<V> Clone for Renewal<V> {
    fn clone(&self) -> Self {
        Renewal(self.0.clone())
    }
}

impl<V> Default for Renewal<V> {
    fn default() -> Self {
        Renewal(Arc::new(Mutex::new(Held { value: None, flying: None })))
    }
}

impl<V: Clone + Send + Sync + 'static> Renewal<V> {
    /// A good value at `now`; `make` gives a new one and when that ends.
    ///
    /// # Errors
    /// Those of `make`, where nothing good is left.
    pub(crate) async fn get<F>(&self, now: SystemTime, make: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<(V, Option<SystemTime>)>> + Send + 'static,
    {
        let flying = {
            let mut held = lock(&self.0);
            if let Some(value) = &held.value
                && value.renew.is_none_or(|renew| now < renew)
            {
                return Ok(value.inner.clone());
            }
            let flying = match &held.flying {
                Some(flying) if flying.has_changed().is_ok() && flying.borrow().is_none() => flying.clone(),
                _ => {
                    let flying = self.start(now, make());
                    held.flying = Some(flying.clone());
                    flying
                }
            };
            if let Some(value) = &held.value
                && value.ends.is_none_or(|ends| now + LEAST < ends)
            {
                return Ok(value.inner.clone());
            }
            flying
        };
        landed(flying).await
    }

    fn start<F>(&self, now: SystemTime, work: F) -> watch::Receiver<Outcome<V>>
    where
        F: Future<Output = Result<(V, Option<SystemTime>)>> + Send + 'static,
    {
        let (sender, receiver) = watch::channel(None);
        let shared = self.0.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            {
                let mut held = lock(&shared);
                match &outcome {
                    Ok((value, ends)) => {
                        held.value =
                            Some(Value { inner: value.clone(), ends: *ends, renew: ends.map(|ends| renew(now, ends)) });
                    }
                    Err(_) => {
                        if let Some(value) = &mut held.value {
                            value.renew = Some(now + AGAIN);
                        }
                    }
                }
                held.flying = None;
            }
            sender.send_replace(Some(outcome.map(|(value, _)| value).map_err(Arc::new)));
        });
        receiver
    }

    /// Forgets a value that was refused before its end.
    pub(crate) fn forget(&self) {
        lock(&self.0).value = None;
    }
}

/// When to renew what ends at `ends`.
fn renew(now: SystemTime, ends: SystemTime) -> SystemTime {
    let left = ends.duration_since(now).unwrap_or_default();
    ends - AHEAD.min(left / 2)
}

#[cfg(test)]
mod tests;
