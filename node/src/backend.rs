//! What answers control requests: the node's own here, the account's by the Messenger's thread.

use murmesh_protocol::control::{
    ControlError, CustodyStatus, Done, ErrorName, Health, NoParams, OutboxStatus, PeerCounts, Reply, Request,
    SendParams, StatusReply,
};
use murmesh_protocol::keeper::store::Totals;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::Role;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::control::{Backend, Backlog};
use crate::links::{Ask, Machines, ToKeeper, ToMessenger};
use crate::swarm::NetworkStatus;

/// See the module.
#[derive(Debug)]
pub(crate) struct NodeBackend {
    machines: Machines,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
    started: Time,
    /// Life of a message whose sender does not say.
    mail_expire_ms: Option<u64>,
}

/// Whoever should answer has ended.
fn stopping<E>(_: E) -> ControlError {
    ErrorName::Stopping.into()
}

impl NodeBackend {
    pub(crate) fn new(
        machines: Machines,
        asks: mpsc::Sender<Ask>,
        stop: CancellationToken,
        started: Time,
        mail_expire_ms: Option<u64>,
    ) -> NodeBackend {
        NodeBackend { machines, asks, stop, started, mail_expire_ms }
    }

    async fn ask_messenger(&self, request: Request) -> Result<Reply, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.machines.messenger.send(ToMessenger::Command(request, answer)).await.map_err(stopping)?;
        answered.await.map_err(stopping)?
    }

    async fn totals(&self) -> Result<Totals, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.machines.keeper.send(ToKeeper::Totals(answer)).await.map_err(stopping)?;
        answered.await.map_err(stopping)
    }

    async fn network(&self) -> Result<NetworkStatus, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Status(answer)).await.map_err(stopping)?;
        answered.await.map_err(stopping)
    }

    /// The Messenger's part, completed by the node's.
    pub(crate) async fn status(&self) -> Result<StatusReply, ControlError> {
        let network = self.network().await?;
        let totals = self.totals().await?;
        let mut reasons = Vec::new();
        let mut status = match self.ask_messenger(Request::Status(NoParams {})).await {
            Ok(Reply::Status(status)) => *status,
            Ok(_) => return Err(ErrorName::Internal.into()),
            Err(error) if error.name == ErrorName::Stopping => return Err(error),
            // A node that keeps mail for others only lacks nothing.
            Err(error) if error.name == ErrorName::NoAccount => without_account(),
            Err(error) => {
                let name = serde_json::to_value(error.name).unwrap_or_default();
                reasons.push(name.as_str().unwrap_or("internal").to_owned());
                without_account()
            }
        };
        if network.connected == 0 {
            reasons.push("no-peers".to_owned());
        } else if network.custodians_known == 0 {
            reasons.push("nobody-to-keep-mail".to_owned());
        }
        status.pid = std::process::id();
        status.peer_id = network.peer_id;
        status.listen = network.listen;
        status.role = if network.role == Role::Full { "full" } else { "light" }.to_owned();
        status.peers = PeerCounts { connected: count(network.connected), known: count(network.known) };
        status.custody =
            CustodyStatus { envelopes: totals.envelopes, records: totals.records, bytes: totals.bytes };
        reasons.append(&mut status.health.reasons);
        status.health = Health { ok: reasons.is_empty(), reasons };
        status.started_at = self.started.into();
        status.custodians_known = count(network.custodians_known);
        status.reach = Some(network.reach);
        Ok(status)
    }
}

impl Backend for NodeBackend {
    async fn call(&self, request: Request) -> Result<Reply, ControlError> {
        match request {
            Request::Status(_) => self.status().await.map(|status| Reply::Status(Box::new(status))),
            Request::Stop(_) => {
                self.stop.cancel();
                Ok(Reply::Done(Done { state: "stopping".to_owned() }))
            }
            Request::Peers(_) => {
                let (answer, answered) = oneshot::channel();
                self.asks.send(Ask::Peers(answer)).await.map_err(stopping)?;
                answered.await.map(Reply::Peers).map_err(stopping)
            }
            Request::Send(params) => {
                let expire_ms = params.expire_ms.or(self.mail_expire_ms);
                self.ask_messenger(Request::Send(SendParams { expire_ms, ..params })).await
            }
            // The server's own.
            Request::Hello(_) => Err(ErrorName::Internal.into()),
            Request::Subscribe(ref params) if params.name.is_none() => Err(ErrorName::Internal.into()),
            Request::Init(_)
            | Request::IdShow(_)
            | Request::Invite(_)
            | Request::Add(_)
            | Request::Contacts(_)
            | Request::Contact(_)
            | Request::Rename(_)
            | Request::Read(_)
            | Request::Why(_)
            | Request::Outbox(_)
            | Request::OutboxShow(_)
            | Request::Retry(_)
            | Request::Cancel(_)
            | Request::Block(_)
            | Request::Unblock(_)
            | Request::Remove(_)
            | Request::Invites(_)
            | Request::Revoke(_)
            | Request::ContactRequests(_)
            | Request::AcceptRequest(_)
            | Request::DeclineRequest(_)
            | Request::Subscribe(_)
            | Request::Ack(_)
            | Request::Consumers(_)
            | Request::Forget(_) => self.ask_messenger(request).await,
        }
    }

    async fn events_after(&self, cursor: u64, limit: u32) -> Result<Backlog, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.machines.messenger.send(ToMessenger::Events(cursor, limit, answer)).await.map_err(stopping)?;
        answered.await.map_err(stopping)?
    }
}

/// The status of a node that only keeps mail for others.
fn without_account() -> StatusReply {
    StatusReply {
        state: "running".to_owned(),
        pid: 0,
        peer_id: String::new(),
        listen: Vec::new(),
        role: String::new(),
        peers: PeerCounts { connected: 0, known: 0 },
        outbox: OutboxStatus { queued: 0, held: 0 },
        custody: CustodyStatus { envelopes: 0, records: 0, bytes: 0 },
        health: Health { ok: true, reasons: Vec::new() },
        account: None,
        contacts: 0,
        unread: 0,
        started_at: Time(0).into(),
        custodians_known: 0,
        reach: None,
        collected_at: None,
        requests: 0,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use murmesh_protocol::control::SendParams;

    use super::*;

    #[tokio::test]
    async fn a_message_lives_as_configured_unless_its_sender_says_otherwise() {
        let (messenger, mut told) = mpsc::channel(2);
        let (keeper, _) = mpsc::channel(1);
        let (asks, _) = mpsc::channel(1);
        let machines = Machines { messenger, keeper };
        let backend = NodeBackend::new(machines, asks, CancellationToken::new(), Time(0), Some(60_000));
        for (asked, wanted) in [(None, Some(60_000)), (Some(90_000), Some(90_000))] {
            let params =
                SendParams { to: "bob".into(), text: "hi".into(), client_id: None, expire_ms: asked };
            let call = backend.call(Request::Send(params));
            let answer = async {
                let Some(ToMessenger::Command(Request::Send(params), answer)) = told.recv().await else {
                    return None;
                };
                drop(answer);
                params.expire_ms
            };
            assert_eq!(tokio::join!(call, answer).1, wanted);
        }
    }
}
