//! Which addresses are connected to: those of the internet, unless told otherwise.
//!
//! They are looked at where they are connected to, in the resolver of the connection, and not before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, vec};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// An address that is not one of the internet: of a private network, of this machine, or of no use at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {address}, which is no address of the internet: if it is yours, publish within your own network (in_own_network)"
)]
#[non_exhaustive]
pub struct PrivateAddress {
    /// The name, or the address, that was given.
    pub host: String,
    /// The address that it stands for.
    pub address: IpAddr,
}

/// Whether anybody who gives us this address may have us connect to it.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The registry of special-purpose addresses (RFC 6890), and what it leaves out of the rest.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        // Multicast, and what is kept for later.
        || a >= 224;
    !is_special
}

/// Those that are given to networks (2000::/3) without what stands for something else; and what is translated to an address of version 4
/// that is public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    if [a, b, c, d, e, f] == [0x64, 0xFF9B, 0, 0, 0, 0] {
        return is_public_v4(Ipv4Addr::from((u32::from(g) << 16) | u32::from(h)));
    }
    let is_given = a & 0xE000 == 0x2000;
    let is_a_protocols = a == 0x2001 && b < 0x0200;
    let is_documentation = (a == 0x2001 && b == 0x0DB8) || (a == 0x3FFF && b < 0x1000);
    let is_translated = a == 0x2002;
    is_given && !is_a_protocols && !is_documentation && !is_translated
}

/// Finds the addresses of a name, and hands on those that may be connected to. So what is checked is what is connected to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver {
    pub(crate) any: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { any } = *self;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            allowed(name.as_str(), found, any).map(Vec::into_iter).map_err(io::Error::other)
        })
    }
}

/// Those of a name that may be connected to; where there are none, which one may not.
fn allowed(host: &str, found: Vec<SocketAddr>, any: bool) -> Result<Vec<SocketAddr>, PrivateAddress> {
    let refused = found.iter().map(SocketAddr::ip).find(|address| !is_public(*address));
    let allowed: Vec<_> = found.into_iter().filter(|address| any || is_public(address.ip())).collect();
    match refused {
        Some(address) if allowed.is_empty() => Err(PrivateAddress { host: host.to_owned(), address }),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in ["93.184.216.34", "8.8.8.8", "100.63.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["2606:2800:220:1::1", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "::",
            "::1",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "::ffff:127.0.0.1",
            "100::1",
            "fec0::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn of_a_name_with_several_addresses_only_the_public_ones_are_connected_to() {
        let (own, public): (SocketAddr, SocketAddr) =
            ("10.0.0.1:0".parse().unwrap(), "8.8.8.8:0".parse().unwrap());
        assert_eq!(allowed("x", vec![own, public], false), Ok(vec![public]));
        assert_eq!(allowed("x", vec![own, public], true), Ok(vec![own, public]));
        let refused = allowed("x", vec![own], false).unwrap_err();
        assert_eq!(refused.address, own.ip());
    }
}
