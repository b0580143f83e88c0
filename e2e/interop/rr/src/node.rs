//! The node: TCP → swarm key → Noise → muxer, and the same layers inside circuits.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, OrTransport, Transport};
use libp2p::core::upgrade::{SelectUpgrade, Version};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PnetOutput, PreSharedKey};
use libp2p::request_response::{Behaviour as Exchanges, Config, ProtocolSupport};
use libp2p::swarm::{self, NetworkBehaviour, Swarm};
use libp2p::{PeerId, StreamProtocol, identify, noise, ping, relay, tcp, yamux};

use crate::options::Options;
use crate::wire::{JsonCodec, PULL, PUSH};
use crate::{Outcome, VERSION};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Idle timeout of a connection without a reservation.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than any wait of the callers, which have their own time limits.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub relay: relay::client::Behaviour,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub pull: Exchanges<JsonCodec>,
    pub push: Exchanges<JsonCodec>,
}

pub fn create(options: &Options, identity: &Keypair) -> Outcome<Swarm<Behaviour>> {
    let peer = identity.public().to_peer_id();
    let (circuits, client) = relay::client::new(peer);
    let transport = transport(options, identity, circuits)?;
    let version = options.optional("--protocol").unwrap_or_default();
    let exchanges = |codec, protocols: [&'static str; 2]| {
        let supported = protocols
            .into_iter()
            .filter(|name| name.ends_with(version))
            .map(|name| (StreamProtocol::new(name), ProtocolSupport::Full));
        let config = Config::default().with_request_timeout(EXCHANGE_TIMEOUT);
        Exchanges::with_codec(codec, supported, config)
    };
    let about = identify::Config::new("/rustory/1.0.0".into(), identity.public())
        .with_agent_version(format!("rr/{VERSION}"));
    let behaviour = Behaviour {
        relay: client,
        identify: identify::Behaviour::new(about),
        // A ping every 15 s.
        ping: ping::Behaviour::default(),
        pull: exchanges(JsonCodec::PULL, PULL),
        push: exchanges(JsonCodec::PUSH, PUSH),
    };
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    Ok(Swarm::new(transport, behaviour, peer, config))
}

fn transport(
    options: &Options,
    identity: &Keypair,
    circuits: relay::client::Transport,
) -> Outcome<Boxed<(PeerId, StreamMuxerBox)>> {
    let key = options.swarm_key()?;
    let sockets = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let secured = OrTransport::new(circuits, sockets)
        .and_then(move |socket, _| protect(key, socket))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(identity)?);
    Ok(match options.text("--muxer")? {
        "yamux" => secured
            .multiplex(yamux::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .boxed(),
        "mplex" => secured
            .multiplex(libp2p_mplex::Config::default())
            .timeout(HANDSHAKE_TIMEOUT)
            .boxed(),
        "both" => secured
            .multiplex(SelectUpgrade::new(
                yamux::Config::default(),
                libp2p_mplex::Config::default(),
            ))
            .timeout(HANDSHAKE_TIMEOUT)
            .boxed(),
        other => return Err(format!("Unknown muxer \"{other}\".").into()),
    })
}

async fn protect<Socket>(key: PreSharedKey, socket: Socket) -> io::Result<PnetOutput<Socket>>
where
    Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    PnetConfig::new(key)
        .handshake(socket)
        .await
        .map_err(io::Error::other)
}
