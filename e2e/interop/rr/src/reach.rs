//! Which addresses a device announces, and which addresses of a listed peer it dials.

use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::IS_GEN1;

/// How a peer is dialed in one round.
pub enum Route {
    /// Only through the relay of this device.
    Relay,
    Direct(Vec<Multiaddr>),
    /// 0.1: all listed direct addresses, then the relay.
    DirectThenRelay(Vec<Multiaddr>),
}

/// `None`: the peer is skipped. With `lan`, private and loopback addresses count as public.
pub fn route(peer: &PeerId, listed: Vec<Multiaddr>, lan: bool) -> Option<Route> {
    if !IS_GEN1 {
        let direct = listed.into_iter().filter(|address| !is_circuit(address));
        return Some(Route::DirectThenRelay(direct.collect()));
    }
    // The relay that is listed is ignored.
    if listed.iter().any(|address| is_circuit_to(address, peer)) {
        return Some(Route::Relay);
    }
    let public: Vec<Multiaddr> = listed
        .into_iter()
        .filter(|address| lan || is_public(address))
        .collect();
    (!public.is_empty()).then_some(Route::Direct(public))
}

pub fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

fn is_circuit_to(address: &Multiaddr, peer: &PeerId) -> bool {
    is_circuit(address) && matches!(address.iter().last(), Some(Protocol::P2p(id)) if id == *peer)
}

/// Whether 1.x announces and dials this address: no private, loopback, link-local or unique local address and no name; 100.64.0.0/10 counts as public.
pub fn is_public(address: &Multiaddr) -> bool {
    if is_circuit(address) {
        return false;
    }
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
        }
        Some(Protocol::Ip6(ip)) => {
            let local = ip.is_unique_local() || ip.is_unicast_link_local();
            !(ip.is_loopback() || ip.is_unspecified() || local || IpAddr::V6(ip).is_multicast())
        }
        _ => false,
    }
}
