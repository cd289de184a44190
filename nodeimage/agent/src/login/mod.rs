//! The daemon of a login host: it speaks for this host's users, whom the kernel names, and for nobody else.
//!
//! Commands connect to its socket as they would to the controller's. Whose process connected is what the kernel says
//! (peer credentials); the controller takes that word from a host that was enrolled, for the uids that it is
//! configured for, and never for root or an admin. The daemon holds no secret of any user and needs no privilege but
//! the folder of its socket.

mod options;

pub use options::{LoginOptions, USAGE};

use crate::clock;
use crate::daemon::{Key, KeyError, Membership};
use squall_proto::client::Client;
use squall_proto::connect::{BadTarget, Target, Trust};
use squall_proto::node_client::NodeClient;
use squall_proto::server::{Channel, Failure, Forward, bind_unix, client_service, local_builder};
use squall_proto::{ClientError, VERSION};
use squall_types::InstanceId;
use squall_types::agent::{JoinAs, JoinRequest};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at whether the certificate is to be renewed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Between two tries to join a controller that does not answer.
const JOIN_AGAIN: Duration = Duration::from_secs(5);
/// Every user of the host may connect: who they are is what the kernel says.
const SOCKET_MODE: u32 = 0o666;
/// The largest file with a join secret, in bytes.
const MAX_SECRET: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Target(#[from] BadTarget),
    #[error("the controller refused this host: {0}")]
    Refused(ClientError),
    #[error("{doing} {place}", place = place.display())]
    Io { doing: &'static str, place: PathBuf, source: io::Error },
    #[error("neither a certificate nor a join secret: `--join-secret-file` is needed to enrol")]
    NoSecret,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Where the host cannot be enrolled, or the socket cannot be made.
pub async fn run(options: LoginOptions) -> Result<(), LoginError> {
    let failed = |doing, place: &PathBuf| {
        let place = place.clone();
        move |source| LoginError::Io { doing, place, source }
    };
    std::fs::create_dir_all(&options.state_dir).map_err(failed("making", &options.state_dir))?;
    let key = Key::open(&options.state_dir)?;
    let membership = match Membership::load(&options.state_dir) {
        Some(membership) => membership,
        None => enrol(&options, &key).await?,
    };
    let client = Arc::new(RwLock::new(client(&options, &key, &membership)?));
    let socket = bind_unix(&options.socket, SOCKET_MODE).await.map_err(failed("listening on", &options.socket))?;
    tracing::info!(host = %membership.name, socket = %options.socket.display(), controller = %options.controller, "login host");
    let chosen = client.clone();
    let forward = Forward::new(move |channel: &Channel| speaking_for(&chosen, channel));
    let server = local_builder().add_service(client_service(Arc::new(forward)));
    let mut terminated = signal(SignalKind::terminate()).map_err(failed("waiting for signals for", &options.socket))?;
    let stopped = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let renewing = renew(options.clone(), key, membership, client);
    let outcome = tokio::select! {
        served = server.serve_with_incoming_shutdown(socket, stopped) => {
            served.map_err(|error| failed("serving", &options.socket)(io::Error::other(error)))
        }
        () = renewing => Ok(()),
    };
    // New clients are to find nobody, rather than somebody who does not answer.
    let _ = std::fs::remove_file(&options.socket);
    outcome
}

fn speaking_for(client: &RwLock<Client>, channel: &Channel) -> Result<Client, Failure> {
    let user = channel.peer.ok_or_else(|| Failure::Denied("the kernel does not say who is calling".to_owned()))?;
    let client = client.read().expect("no code panics while it holds the client").clone();
    Ok(client.vouching_for(user))
}

/// Joins with the single-use token; a controller that does not answer is asked again.
async fn enrol(options: &LoginOptions, key: &Key) -> Result<Membership, LoginError> {
    let path = options.join_secret_file.as_ref().ok_or(LoginError::NoSecret)?;
    let secret = std::fs::File::open(path).and_then(|file| io::read_to_string(file.take(MAX_SECRET)));
    let secret = secret.map_err(|source| LoginError::Io { doing: "reading", place: path.clone(), source })?;
    let request = JoinRequest {
        join_as: JoinAs::LoginHost(options.name.clone()),
        secret: secret.trim().to_owned(),
        csr_pem: key.request()?,
        instance: InstanceId::default(),
        hostname: options.name.clone(),
        boot_id: clock::boot_id(),
        agent_version: VERSION.to_owned(),
    };
    let target = Target::parse(&options.controller, options.ca_pin.clone())?;
    let reply = loop {
        let asked = match NodeClient::connect(&target).await {
            Ok(client) => client.join(request.clone()).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(reply) => break reply,
            Err(error @ (ClientError::Unreachable { .. } | ClientError::TimedOut { .. })) => {
                tracing::warn!(reason = %error, "no answer to the enrolment yet");
                tokio::time::sleep(JOIN_AGAIN).await;
            }
            Err(error) => return Err(LoginError::Refused(error)),
        }
    };
    let membership = Membership::new(reply)?;
    keep(options, &membership)?;
    Ok(membership)
}

fn keep(options: &LoginOptions, membership: &Membership) -> Result<(), LoginError> {
    let place = options.state_dir.clone();
    membership.save(&options.state_dir).map_err(|source| LoginError::Io {
        doing: "keeping the certificate in",
        place,
        source,
    })
}

fn target(options: &LoginOptions, key: &Key, membership: &Membership) -> Result<Target, LoginError> {
    let trust = Trust::Ca(membership.ca_pem.clone());
    Ok(Target::parse(&options.controller, Some(trust))?.with_identity(key.identity(membership)))
}

fn client(options: &LoginOptions, key: &Key, membership: &Membership) -> Result<Client, LoginError> {
    Client::lazy(&target(options, key, membership)?).map_err(LoginError::Refused)
}

/// Renews the certificate when half of its life is over, for as long as the daemon runs.
async fn renew(options: LoginOptions, key: Key, mut membership: Membership, client: Arc<RwLock<Client>>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if clock::now().wall < membership.renew_at() {
            continue;
        }
        match renewed(&options, &key, &membership).await {
            Ok((fresh, connected)) => {
                membership = fresh;
                *client.write().expect("no code panics while it holds the client") = connected;
            }
            Err(error) => tracing::warn!(reason = %error, "the certificate could not be renewed yet"),
        }
    }
}

async fn renewed(
    options: &LoginOptions,
    key: &Key,
    membership: &Membership,
) -> Result<(Membership, Client), LoginError> {
    let controller = NodeClient::connect(&target(options, key, membership)?).await.map_err(LoginError::Refused)?;
    let fresh = Membership::new(controller.renew(key.request()?).await.map_err(LoginError::Refused)?)?;
    keep(options, &fresh)?;
    let connected = client(options, key, &fresh)?;
    Ok((fresh, connected))
}
