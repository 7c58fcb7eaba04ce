//! Who may look, and who may act.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use event_sourcery::{EventStore, TenantId};

/// What a request may see and do.
///
/// ```
/// use event_sourcery::TenantId;
/// use event_sourcery_browser::Access;
///
/// let support = Access::look_at(TenantId::new("acme")?);
/// let operator = Access::look().and_act();
/// assert_ne!(support, operator);
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access(Option<Granted>);

/// What was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Whose streams alone; `None`: what the store's handle sees.
    pub(crate) tenant: Option<TenantId>,
    /// Whether failed events may be replayed and skipped.
    pub(crate) may_act: bool,
}

impl Granted {
    /// Whether it is no more than this handle sees.
    pub(crate) fn is_within(&self, store: &EventStore) -> bool {
        let own = store.tenant_id();
        own.is_default() || self.tenant.as_ref().is_none_or(|tenant| tenant == own)
    }
}

impl Access {
    /// Nothing: the answer is a page that says so, with the status 403.
    #[must_use]
    pub const fn refused() -> Self {
        Self(None)
    }

    /// It may look at everything that the store's handle sees: with the default handle, at every tenant.
    #[must_use]
    pub const fn look() -> Self {
        Self(Some(Granted { tenant: None, may_act: false }))
    }

    /// It may look at this tenant alone. [`TenantId::DEFAULT`] is no tenant alone, for its handle sees every tenant: that is
    /// [refused](Self::refused), as is another tenant than that of the store's handle.
    #[must_use]
    pub fn look_at(tenant: TenantId) -> Self {
        let is_alone = !tenant.is_default();
        Self(is_alone.then_some(Granted { tenant: Some(tenant), may_act: false }))
    }

    /// The same, and it may replay and skip failed events of what it sees. Who may not look may not act.
    #[must_use]
    pub fn and_act(self) -> Self {
        Self(self.0.map(|granted| Granted { may_act: true, ..granted }))
    }

    /// To look, where the request comes from this machine: what counts where no hook is given.
    ///
    /// The peer has to be known ([`ConnectInfo`]) and a loopback address, the request has to be made to a loopback host, and must not
    /// have come through a proxy.
    ///
    /// ```
    /// use event_sourcery::{EventStore, MemoryBackend};
    /// use event_sourcery_browser::{Access, Browser};
    ///
    /// let store = EventStore::new(MemoryBackend::new());
    /// let browser = Browser::new(store.erased()).allow(|request| Access::of_this_machine(request).and_act());
    /// ```
    #[must_use]
    pub fn of_this_machine(request: &Parts) -> Self {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
        let is_here = peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip()));
        if is_here && !came_through_a_proxy(request) && names_this_machine(request) {
            Self::look()
        } else {
            Self::refused()
        }
    }

    pub(crate) fn granted(self) -> Option<Granted> {
        self.0
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The peer is the proxy then, and not who asks.
fn came_through_a_proxy(request: &Parts) -> bool {
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"]
        .iter()
        .any(|name| request.headers.contains_key(*name))
}

/// Whether the request was made to a name of this machine. A page from elsewhere whose name was made to lead here is asked for under
/// that name.
fn names_this_machine(request: &Parts) -> bool {
    let by_header =
        request.headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default().to_owned());
    let by_address = request.uri.authority().map(|authority| authority.as_str().to_owned());
    by_header.into_iter().chain(by_address).all(|host| is_this_machine(&host))
}

fn is_this_machine(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known_and_no_others() {
        for here in ["localhost", "LOCALHOST:3000", "127.0.0.1:80", "127.9.9.9", "[::1]:3000", "[::1]"] {
            assert!(is_this_machine(here), "{here}");
        }
        for elsewhere in
            ["", "evil.example", "localhost.evil.example:3000", "10.0.0.1", "[2001:db8::1]", "a b"]
        {
            assert!(!is_this_machine(elsewhere), "{elsewhere}");
        }
        assert!(is_loopback("::ffff:127.0.0.1".parse().unwrap()));
    }
}
