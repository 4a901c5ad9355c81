//! A story: two accounts meet and write to each other, while the power fails at random, in any call of
//! any disk, of one node or of several at once.

use murmesh_crash_vfs::Lost;
use murmesh_protocol::control::{
    AddParams, ContactState, ErrorName, InitParams, InviteParams, MessageReply, NoParams, Reply, Request,
    SendParams,
};
use murmesh_protocol::time::{HOUR_MS, SECOND_MS};

use super::clock;
use super::world::World;

/// What stories came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) stories: u64,
    pub(super) cuts: u64,
    pub(super) acknowledged: u64,
    pub(super) lost: Lost,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.stories += other.stories;
        self.cuts += other.cuts;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { stories, cuts, acknowledged, lost } = self;
        let Lost { cuts_with_unsynced, sectors, torn, lengths, names } = lost;
        write!(
            f,
            "{stories} stories, {cuts} cuts ({cuts_with_unsynced} with something unsynced; lost {sectors} \
             sectors, {torn} torn, {lengths} lengths, {names} names), {acknowledged} messages acknowledged"
        )
    }
}

/// Nodes that only keep.
const CUSTODIANS: usize = 3;
/// Messages each way.
const MESSAGES: usize = 12;
/// Cuts after which a story comes to its end.
const CUTS: u64 = 40;
/// Within this everything is delivered once the power stays.
const PATIENCE_MS: u64 = 24 * HOUR_MS;

/// Plays the story of a seed to its end; panics where a promise is broken.
pub(super) fn play(seed: u64) -> Tally {
    let mut world = World::new(seed, 2, CUSTODIANS);
    world.start_cuts = 20;
    (0..world.sites.len()).for_each(|i| world.start(i));
    make_accounts(&mut world);
    introduce(&mut world);
    let unanswered = write(&mut world);
    world.start_cuts = 0;
    world.sites.iter().for_each(|site| site.disk.cut_after(u64::MAX));
    end(&mut world, unanswered);
    // All at once, with nothing under way.
    for i in 0..world.sites.len() {
        world.cut(i);
    }
    world.run(60 * SECOND_MS);
    assert!((0..world.sites.len()).all(|i| world.is_up(i)), "a node stays down");
    compare(&mut world);
    let acknowledged: usize = world.sites.iter().map(|site| site.ledger.sent.len()).sum();
    let acknowledged = u64::try_from(acknowledged).unwrap();
    Tally { stories: 1, cuts: world.cuts, acknowledged, lost: world.lost }
}

/// Two accounts that are connected, and custodians; nothing ever failed.
pub(super) fn acquaintances(seed: u64) -> World {
    let mut world = World::new(seed, 2, CUSTODIANS);
    world.cuts = CUTS;
    (0..world.sites.len()).for_each(|i| world.start(i));
    make_accounts(&mut world);
    introduce(&mut world);
    end(&mut world, Vec::new());
    world
}

/// Plans a cut now and then.
fn harass(world: &mut World) {
    if world.cuts >= CUTS {
        return;
    }
    let nodes = u32::try_from(world.sites.len()).unwrap();
    // Accounts twice as often as the others.
    let any = |world: &mut World| usize::try_from(world.below(nodes + 2) % nodes).unwrap();
    match world.below(10) {
        // The same moment for several, each in the middle of what it is doing.
        0 => {
            for i in 0..world.sites.len() {
                let calls = u64::from(1 + world.below(40));
                world.sites[i].disk.cut_after(calls);
            }
        }
        1 | 2 => {
            for i in [0, 1] {
                let calls = u64::from(1 + world.below(60));
                world.sites[i].disk.cut_after(calls);
            }
        }
        3 => {
            let i = any(world);
            world.cut(i);
        }
        4..=7 => {
            let (i, calls) = (any(world), u64::from(1 + world.below(200)));
            world.sites[i].disk.cut_after(calls);
        }
        _ => {}
    }
}

fn make_accounts(world: &mut World) {
    for _ in 0..1_000 {
        let missing: Vec<usize> =
            [0, 1].into_iter().filter(|i| world.sites[*i].ledger.account.is_none()).collect();
        if missing.is_empty() {
            return;
        }
        harass(world);
        for i in missing {
            let name = Some(format!("p{i}"));
            let account = match world.ask(i, Request::Init(InitParams { name })) {
                Some(Ok(Reply::Init(made))) => made.account,
                // Made, and the power failed before the answer.
                Some(Err(error)) if error.name == ErrorName::AlreadyInitialised => {
                    match world.ask(i, Request::IdShow(NoParams {})) {
                        Some(Ok(Reply::Id(id))) => id.account,
                        _ => continue,
                    }
                }
                Some(other) => panic!("{other:?}"),
                None => continue,
            };
            world.sites[i].ledger.account = Some(account);
        }
        world.run(300);
    }
    panic!("no accounts");
}

fn introduce(world: &mut World) {
    let mut ticket = None;
    let begun = clock::now();
    while !([0, 1].iter().all(|i| is_connected(world, *i))) {
        assert!(clock::now().since(begun) < PATIENCE_MS, "never connected");
        harass(world);
        if ticket.is_none() {
            let params = InviteParams { uses: None, expires_ms: None, no_address: false };
            if let Some(Ok(Reply::Invite(invite))) = world.ask(0, Request::Invite(params)) {
                ticket = Some(invite.ticket);
            }
        }
        if let (Some(ticket), false) = (&ticket, world.sites[1].ledger.contact) {
            let params = AddParams { ticket: ticket.clone(), name: None, text: None };
            if let Some(Ok(_)) = world.ask(1, Request::Add(params)) {
                world.sites[1].ledger.contact = true;
            }
        }
        world.run(SECOND_MS);
    }
    world.sites.iter_mut().take(2).for_each(|site| site.ledger.contact = true);
}

fn is_connected(world: &mut World, i: usize) -> bool {
    let Some(Ok(Reply::Contacts(reply))) = world.ask(i, Request::Contacts(NoParams {})) else { return false };
    reply.contacts.iter().any(|contact| contact.state == ContactState::Connected)
}

/// Sends a text; none if nobody answers.
pub(super) fn try_say(world: &mut World, from: usize, text: &str) -> Option<Result<(), ErrorName>> {
    let params = SendParams {
        to: format!("p{}", 1 - from),
        text: text.to_owned(),
        client_id: Some(text.to_owned()),
        expire_ms: None,
    };
    match world.ask(from, Request::Send(params))? {
        Ok(Reply::Send(sent)) => {
            world.sites[from].ledger.sent.insert(sent.id);
            Some(Ok(()))
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Some(Err(error.name)),
    }
}

/// The same while nothing fails but the power; says whether it was answered.
fn say(world: &mut World, from: usize, text: &str) -> bool {
    let answer = try_say(world, from, text);
    assert!(!matches!(answer, Some(Err(_))), "{answer:?}");
    answer.is_some()
}

/// Both write, until enough is written and cut; what was not answered is left over.
fn write(world: &mut World) -> Vec<(usize, String)> {
    let mut unanswered = Vec::new();
    let mut written = 0;
    while written < MESSAGES || world.cuts < CUTS {
        harass(world);
        for from in [0, 1].into_iter().filter(|_| written < MESSAGES) {
            let text = format!("{from}-{written}");
            if !say(world, from, &text) {
                unanswered.push((from, text));
            }
        }
        written += 1;
        // A client that got no answer asks again, or gives up.
        if world.below(3) == 0 {
            unanswered.retain(|(from, text)| !say(world, *from, text));
        }
        let pause = [30, 150, 700, 2_500][usize::try_from(world.below(4)).unwrap()];
        world.run(pause);
        assert!(written < 100_000, "the power does not fail any more");
    }
    unanswered
}

/// Runs until everything is delivered.
pub(super) fn end(world: &mut World, mut unanswered: Vec<(usize, String)>) {
    let begun = clock::now();
    unanswered.truncate(unanswered.len() / 2);
    loop {
        world.run(10 * SECOND_MS);
        unanswered.retain(|(from, text)| !say(world, *from, text));
        let empty = [0, 1].iter().all(|i| {
            let outbox = world.ask(*i, Request::Outbox(NoParams {}));
            matches!(outbox, Some(Ok(Reply::Outbox(outbox))) if outbox.messages.is_empty())
        });
        if empty && unanswered.is_empty() {
            break;
        }
        assert!(clock::now().since(begun) < PATIENCE_MS, "not everything is delivered");
    }
}

/// Each has exactly what the other has sent, in its order.
pub(super) fn compare(world: &mut World) {
    let read = [0, 1].map(|i| world.read(i).unwrap());
    let texts = |messages: &[MessageReply], own: bool| -> Vec<String> {
        messages.iter().filter(|m| (m.from == "me") == own).map(|m| m.text.clone()).collect()
    };
    for from in [0, 1] {
        let (sent, received) = (texts(&read[from], true), texts(&read[1 - from], false));
        assert_eq!(sent, received, "sent by p{from}, received by p{}", 1 - from);
        assert!(sent.len() >= world.sites[from].ledger.sent.len());
    }
}
