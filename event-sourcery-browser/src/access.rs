//! Who may look, and who may act.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Version, header};
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
    /// have come through a proxy, as far as that can be told: by a header that proxies add, or by HTTP/1.0, which some of them speak. A
    /// proxy on this machine that adds no header and speaks HTTP/1.1 is not seen, and lets everybody in: give a hook of your own there.
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

/// What proxies add, beside everything that begins with `x-forwarded`.
const OF_PROXIES: [&str; 7] =
    ["cf-connecting-ip", "forwarded", "true-client-ip", "via", "x-client-ip", "x-original-host", "x-real-ip"];

/// The peer is the proxy then, and not who asks. What adds no header may still speak HTTP/1.0, as nginx long did unless told otherwise;
/// no web browser does.
fn came_through_a_proxy(request: &Parts) -> bool {
    let is_of_proxies = |name: &str| name.starts_with("x-forwarded") || OF_PROXIES.contains(&name);
    request.version < Version::HTTP_11 || request.headers.keys().any(|name| is_of_proxies(name.as_str()))
}

/// Whether the request was made to a name of this machine, and to no other. A page from elsewhere whose name was made to lead here is
/// asked for under that name.
fn names_this_machine(request: &Parts) -> bool {
    let by_header =
        request.headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut hosts = by_header.chain(request.uri.authority().map(Authority::as_str)).peekable();
    hosts.peek().is_some() && hosts.all(is_this_machine)
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
