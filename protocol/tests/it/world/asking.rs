//! What tests ask of the nodes of a world, as clients of their control API would.

use murmesh_protocol::control::{
    AddParams, AddReply, ControlError, EventBody, InviteParams, MessageReply, MessageState, NoParams,
    OutboxEntry, ReadParams, Reply, Request, SendParams, SendReply,
};
use murmesh_protocol::id::AccountId;
use murmesh_protocol::messenger::io::{Input, RequestId};
use murmesh_protocol::time::SECOND_MS;

use super::World;

impl World {
    /// p0 and p1, who know each other, and so many custodians.
    pub(crate) fn connected(seed: u64, custodians: usize) -> World {
        let mut world = World::new(seed, 2, custodians);
        world.run(SECOND_MS);
        world.introduce(0, 1);
        world.run(2 * SECOND_MS);
        world
    }

    /// Asks a node something; the reply is in `replies` under the number given back.
    pub(crate) fn ask(&mut self, node: usize, request: Request) -> u64 {
        self.requests += 1;
        self.messenger_step(node, Input::Command(RequestId(self.requests), request));
        self.requests
    }

    /// Asks and waits for the answer.
    pub(crate) fn call(&mut self, node: usize, request: Request) -> Result<Reply, ControlError> {
        let id = self.ask(node, request);
        self.run_until(10 * SECOND_MS, |world| world.nodes[node].replies.contains_key(&id));
        self.nodes[node].replies.remove(&id).expect("an answer within ten seconds")
    }

    pub(crate) fn account(&mut self, node: usize) -> AccountId {
        match self.call(node, Request::IdShow(NoParams {})) {
            Ok(Reply::Id(id)) => id.account.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn invite(&mut self, node: usize) -> String {
        self.invite_for(node, None)
    }

    pub(crate) fn invite_for(&mut self, node: usize, uses: Option<u32>) -> String {
        let params = InviteParams { uses, expires_ms: None, no_address: false };
        match self.call(node, Request::Invite(params)) {
            Ok(Reply::Invite(invite)) => invite.ticket,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn add(&mut self, node: usize, ticket: &str) -> Result<AddReply, ControlError> {
        match self.call(node, Request::Add(AddParams { ticket: ticket.to_owned(), name: None, text: None })) {
            Ok(Reply::Add(added)) => Ok(added),
            Err(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Introduces two nodes by ticket, and waits until messages flow both ways.
    pub(crate) fn introduce(&mut self, a: usize, b: usize) {
        let ticket = self.invite(a);
        self.introduce_by(&ticket, a, b);
    }

    /// By a ticket of the first.
    pub(crate) fn introduce_by(&mut self, ticket: &str, a: usize, b: usize) {
        self.add(b, ticket).unwrap();
        let connected = self.run_until(60 * SECOND_MS, |world| {
            [a, b].iter().all(|i| {
                world.nodes[*i]
                    .events
                    .iter()
                    .any(|event| matches!(&event.body, EventBody::ContactConnected { .. }))
            })
        });
        if !connected {
            eprintln!("{}\n=====\n{}", self.describe(a), self.describe(b));
        }
        assert!(connected, "not connected within a minute");
    }

    pub(crate) fn send_request(to: &str, text: &str, client_id: Option<String>) -> Request {
        Request::Send(SendParams { to: to.to_owned(), text: text.to_owned(), client_id, expire_ms: None })
    }

    pub(crate) fn say(&mut self, node: usize, to: &str, text: &str) -> SendReply {
        match self.call(node, World::send_request(to, text, None)) {
            Ok(Reply::Send(sent)) => sent,
            other => panic!("{other:?}"),
        }
    }

    /// Everything a node can show, in reading order.
    pub(crate) fn read(&mut self, node: usize) -> Vec<MessageReply> {
        let params = ReadParams { who: None, unread: false, since: None, limit: Some(1_000_000), peek: true };
        match self.call(node, Request::Read(params)) {
            Ok(Reply::Read(read)) => read.messages,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn texts_from(&mut self, node: usize, from: &str) -> Vec<String> {
        self.read(node).into_iter().filter(|m| m.from == from).map(|m| m.text).collect()
    }

    pub(crate) fn outbox(&mut self, node: usize) -> Vec<OutboxEntry> {
        match self.call(node, Request::Outbox(NoParams {})) {
            Ok(Reply::Outbox(outbox)) => outbox.messages,
            other => panic!("{other:?}"),
        }
    }

    /// The last state of a sent message that the node has told.
    pub(crate) fn state(&self, node: usize, id: &str) -> Option<MessageState> {
        self.nodes[node].states.get(id).copied()
    }

    /// As if nothing had been told yet.
    pub(crate) fn forget_events(&mut self, node: usize) {
        self.nodes[node].events.clear();
        self.nodes[node].states.clear();
    }

    pub(crate) fn wait_state(&mut self, node: usize, id: &str, state: MessageState, ms: u64) -> bool {
        self.run_until(ms, |world| world.state(node, id) == Some(state))
    }

    /// What a node would show of itself, for a failing test's message.
    pub(crate) fn describe(&self, node: usize) -> String {
        format!(
            "{:#?}\n{:#?}",
            self.nodes[node].messenger,
            self.nodes[node].events.iter().rev().take(10).collect::<Vec<_>>()
        )
    }
}
