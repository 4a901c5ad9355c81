//! A contact of the victim's that has a session with it and speaks for itself: what an honest one does, so
//! that a test can do one thing otherwise (SPEC §5, §6.4, §8.5).

use murmesh_protocol::blind::{BlindedSigner, contact_address, request_address};
use murmesh_protocol::keys::{MailboxPublic, PrekeyPair};
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::session::{Session, accept};
use murmesh_protocol::time::{DAY_MS, SECOND_MS};
use murmesh_protocol::wire::bundle::{Bundle, BundleTimes};
use murmesh_protocol::wire::codec;
use murmesh_protocol::wire::envelope::{Envelope, seal_round, unmask};
use murmesh_protocol::wire::frame::Frame;
use murmesh_protocol::wire::manifest::Manifest;
use murmesh_protocol::wire::record::{RecordHead, Slot, seal_record};

use crate::mallory::{Content, ContentV1, Mallory, Part, local_device};
use crate::victim::{CUSTODIAN, OWN, Victim, facts};

pub(crate) struct Correspondent {
    pub(crate) mallory: Mallory,
    pub(crate) session: Session,
    /// Where the victim says that its mail goes.
    mailbox: Option<MailboxPublic>,
    /// What it last published, and the private half.
    published: Option<(Bundle, PrekeyPair)>,
}

impl Correspondent {
    /// Uses an invite of the victim's and introduces itself.
    pub(crate) fn let_in(mut mallory: Mallory, victim: &mut Victim) -> Correspondent {
        let ticket = victim.invite();
        let mut session = mallory.begin(victim, &ticket);
        mallory.say(victim, &mut session, vec![]);
        Correspondent { mallory, session, mailbox: None, published: None }
    }

    /// Let in, and on a direct stream: the session is a running one, and each has the other's introduction.
    pub(crate) fn connected(mallory: Mallory, victim: &mut Victim) -> Correspondent {
        let mut contact = Correspondent::let_in(mallory, victim);
        victim.input(Input::PeerUp(facts(contact.mallory.peer, false)));
        contact.prove(victim);
        contact.hear(victim);
        assert!(!contact.session.is_initial() && contact.mailbox.is_some());
        contact
    }

    /// One that was connected before.
    pub(crate) fn resumed(mallory: Mallory, session: Session, mailbox: MailboxPublic) -> Correspondent {
        Correspondent { mallory, session, mailbox: Some(mailbox), published: None }
    }

    /// Where the victim's mail goes, as it was told.
    pub(crate) fn mailbox(&self) -> &MailboxPublic {
        self.mailbox.as_ref().unwrap()
    }

    /// Proves its device on its stream, with the challenges that the victim has of it.
    pub(crate) fn prove(&self, victim: &mut Victim) {
        let frame = Frame::DirectProof { proof: self.proof(), want: true };
        victim.input(Input::Frame(self.mallory.peer, frame));
    }

    pub(crate) fn proof(&self) -> [u8; 32] {
        let facts = facts(self.mallory.peer, false);
        self.session.direct_proof(&facts.peer, &OWN, &facts.their_challenge, &facts.our_challenge)
    }

    /// Opens what the victim has sent to it and it has not opened yet, whichever way.
    pub(crate) fn hear(&mut self, victim: &Victim) -> Vec<ContentV1> {
        let secret = self.mallory.mailbox.public().secret;
        let sealed = victim.sent.iter().filter_map(|output| match output {
            Output::Send(peer, Frame::Direct { inner }) if *peer == self.mallory.peer => Some(inner.clone()),
            Output::Send(CUSTODIAN, Frame::Deposit { envelope, .. }) => {
                Some(unmask(&secret, &Envelope::parse(envelope).unwrap()))
            }
            _ => None,
        });
        let mut heard = Vec::new();
        for inner in sealed {
            let Ok(opened) = self.session.open(victim.now, &inner) else { continue };
            let Ok(Content::V1(content)) = codec::decode(&opened.content) else { panic!("not a content") };
            for part in &content.parts {
                if let Part::Introduction(told) = part {
                    self.mailbox = Some(told.mailbox());
                }
            }
            heard.push(content);
        }
        heard
    }

    pub(crate) fn seal(&mut self, parts: Vec<Part>) -> Vec<u8> {
        self.mallory.seal(&mut self.session, parts)
    }

    /// Says something on its stream.
    pub(crate) fn say(&mut self, victim: &mut Victim, parts: Vec<Part>) {
        let inner = self.seal(parts);
        self.send(victim, inner);
    }

    pub(crate) fn send(&self, victim: &mut Victim, inner: Vec<u8>) {
        victim.input(Input::Frame(self.mallory.peer, Frame::Direct { inner }));
    }

    /// The custodian hands over a later message, from the contact mailbox of that day.
    pub(crate) fn hand_over(&mut self, victim: &mut Victim, inner: &[u8]) {
        let (mailbox, day) = (self.mailbox.as_ref().unwrap(), victim.account.day(victim.now));
        let address = contact_address(mailbox, day).unwrap();
        let expires = victim.now.plus(DAY_MS).seconds();
        let rng = &mut self.mallory.rng;
        let envelope = seal_round(&mailbox.secret, address, day, expires, inner, rng).unwrap();
        victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope }));
    }

    /// The custodian answers with these public records of the account, and the victim begins a session
    /// with them if it wants one. Gives the hint of their bundle, valid for so long.
    pub(crate) fn publish(&mut self, victim: &mut Victim, manifest: &Manifest, valid_ms: u64) -> [u8; 8] {
        let Mallory { account, device, rng, .. } = &mut self.mallory;
        let (now, day) = (victim.now, account.id().day(victim.now));
        let times = BundleTimes { seq: now.0, not_before: now, not_after: now.plus(valid_ms) };
        let prekeys = PrekeyPair::generate(rng);
        let bundle = Bundle::sign(device, account.id(), &prekeys, times);
        let signer = BlindedSigner::request(account, day);
        let contents = [(Slot::Manifest, manifest.as_bytes()), (Slot::Bundle, bundle.as_bytes())];
        let records = contents
            .map(|(slot, content)| {
                let head = RecordHead { slot, day, seq: now.0, expires: now.plus(DAY_MS) };
                seal_record(&signer, &head, &account.id().0, content, rng).unwrap()
            })
            .to_vec();
        let address = request_address(&account.id(), day).unwrap();
        victim.input(Input::Frame(CUSTODIAN, Frame::Records { address, records }));
        victim.run(2 * SECOND_MS);
        let hint = bundle.hint();
        self.published = Some((bundle, prekeys));
        hint
    }

    /// Accepts the session that the victim has begun with what was published, and answers on it.
    pub(crate) fn take_up(&mut self, victim: &mut Victim) {
        let (bundle, prekeys) = self.published.as_ref().unwrap();
        let Mallory { account, device, manifest, .. } = &self.mallory;
        let local = local_device(account, device, manifest);
        let accepted = victim.deposits().find_map(|bytes| {
            let inner = unmask(&account.id().0, &Envelope::parse(bytes).unwrap());
            accept(victim.now, &local, prekeys, &bundle.id(), &inner).ok()
        });
        self.session = accepted.expect("it has begun one").session;
        let answer = self.seal(vec![]);
        self.hand_over(victim, &answer);
    }

    /// What the victim's first messages to what was published say.
    pub(crate) fn hear_firsts(&self, victim: &Victim) -> Vec<ContentV1> {
        let (bundle, prekeys) = self.published.as_ref().unwrap();
        let Mallory { account, device, manifest, .. } = &self.mallory;
        let local = local_device(account, device, manifest);
        let opened = victim.deposits().filter_map(|bytes| {
            let inner = unmask(&account.id().0, &Envelope::parse(bytes).unwrap());
            accept(victim.now, &local, prekeys, &bundle.id(), &inner).ok()
        });
        opened
            .map(|accepted| {
                let Ok(Content::V1(content)) = codec::decode(&accepted.opened.content) else {
                    panic!("not a content")
                };
                content
            })
            .collect()
    }

    /// Whether the victim has asked for the public records, which it does to begin a session.
    pub(crate) fn is_asked_for(&self, victim: &Victim) -> bool {
        let account = self.mallory.account.id();
        let wanted = request_address(&account, account.day(victim.now)).unwrap();
        victim.sent.iter().any(|output| {
            matches!(output, Output::Send(CUSTODIAN, Frame::GetRecords { address }) if *address == wanted)
        })
    }
}
