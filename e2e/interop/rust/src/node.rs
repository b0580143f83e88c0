//! The node: TCP → swarm key → Noise → muxer, and the same layers inside circuits.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, OrTransport, Transport};
use libp2p::core::upgrade::{SelectUpgrade, Version};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::{self, NetworkBehaviour, Swarm};
use libp2p::{PeerId, StreamProtocol, identify, noise, ping, relay, tcp, yamux};

use crate::bulk::{self, BulkCodec};
use crate::options::Options;
use crate::sync::{self, JsonCodec};
use crate::{Outcome, print_line};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Timeout of one request and its response; sufficient for 256 MiB on a slow machine.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub relay: relay::client::Behaviour,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub pull: request_response::Behaviour<JsonCodec>,
    pub push: request_response::Behaviour<JsonCodec>,
    pub bulk: request_response::Behaviour<BulkCodec>,
}

/// Creates a node with a new identity and prints its peer id.
pub fn create(options: &Options) -> Outcome<Swarm<Behaviour>> {
    let identity = Keypair::generate_ed25519();
    let swarm = create_as(options, &identity)?;
    print_line(
        serde_json::json!({ "msg": "started", "peer_id": swarm.local_peer_id().to_string() }),
    );
    Ok(swarm)
}

/// Creates a node with this identity.
pub fn create_as(options: &Options, identity: &Keypair) -> Outcome<Swarm<Behaviour>> {
    let peer = identity.public().to_peer_id();
    let (circuits, client) = relay::client::new(peer);
    let transport = transport(options, identity, circuits)?;
    let exchange = || request_response::Config::default().with_request_timeout(EXCHANGE_TIMEOUT);
    let behaviour = Behaviour {
        relay: client,
        identify: identify::Behaviour::new(about(identity)),
        ping: ping::Behaviour::default(),
        pull: request_response::Behaviour::with_codec(
            JsonCodec::PULL,
            allowed(options, sync::PULL_PROTOCOLS),
            exchange(),
        ),
        push: request_response::Behaviour::with_codec(
            JsonCodec::PUSH,
            allowed(options, sync::PUSH_PROTOCOLS),
            exchange(),
        ),
        bulk: request_response::Behaviour::new(
            [(StreamProtocol::new(bulk::PROTOCOL), ProtocolSupport::Full)],
            exchange(),
        ),
    };
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
    Ok(Swarm::new(transport, behaviour, peer, config))
}

/// What the node says about itself in identify.
pub fn about(identity: &Keypair) -> identify::Config {
    identify::Config::new("/rustory/1.0.0".into(), identity.public())
}

/// Those versions of a protocol that `--version` allows.
fn allowed(
    options: &Options,
    versions: [&'static str; 2],
) -> Vec<(StreamProtocol, ProtocolSupport)> {
    versions
        .into_iter()
        .filter(|name| {
            options
                .optional("--version")
                .is_none_or(|version| name.ends_with(version))
        })
        .map(|name| (StreamProtocol::new(name), ProtocolSupport::Full))
        .collect()
}

fn transport(
    options: &Options,
    identity: &Keypair,
    circuits: relay::client::Transport,
) -> Outcome<Boxed<(PeerId, StreamMuxerBox)>> {
    let sockets = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    secure(options, identity, OrTransport::new(circuits, sockets))
}

/// Adds the layers of the private network to the connections of a transport.
pub fn secure<Sockets>(
    options: &Options,
    identity: &Keypair,
    sockets: Sockets,
) -> Outcome<Boxed<(PeerId, StreamMuxerBox)>>
where
    Sockets: Transport + Send + Unpin + 'static,
    Sockets::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    Sockets::Error: Send + Sync,
    Sockets::Dial: Send,
    Sockets::ListenerUpgrade: Send,
{
    let key = options.swarm_key()?;
    let secured = sockets
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

async fn protect<Socket>(
    key: PreSharedKey,
    socket: Socket,
) -> io::Result<libp2p::pnet::PnetOutput<Socket>>
where
    Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    PnetConfig::new(key)
        .handshake(socket)
        .await
        .map_err(io::Error::other)
}
