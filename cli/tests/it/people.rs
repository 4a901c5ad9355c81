//! What a person reads. Standard output here is a pipe, so the texts are those without a terminal.

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Fake, Run, TICKET, contact, state_event};

#[test]
fn first_steps_without_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Run::new(&dir.path().join("none"), &[]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
murmesh: messages from machine to machine, with no server in the middle

  murmesh init --name NICK   make an account: no number, no mail address
  murmesh invite --qr        let somebody add you
  murmesh add                add somebody by their ticket
  murmesh send WHO "hello"   send
  murmesh help               all commands
--

"#]]
    );
    std::fs::write(dir.path().join("private.db"), "").unwrap();
    let ran = Run::new(dir.path(), &[]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
no node is running

  murmesh up     start it
  murmesh help   all commands
--

"#]]
    );
}

#[test]
fn a_summary_with_one() {
    let fake = Fake::start();
    assert_data_eq!(
        fake.murmesh(&[]).run().all(),
        str![[r#"
exit 0
alice mur1alice
2 contacts, 3 peers, 1 unread, 3 messages on the way; all is well

  murmesh read --unread
--

"#]]
    );
}

#[test]
fn status_on_one_screen() {
    let fake = Fake::start();
    assert_data_eq!(
        fake.murmesh(&["status"]).run().all(),
        str![[r#"
exit 0
node     running since 2 Jan 2001 03:04, process 4242
role     full: reachable, so others may choose it to keep their mail
peer     12D3KooWFakeAlice
account  alice mur1alice
listen   /ip4/127.0.0.1/tcp/4001
reach    from outside: somebody at a global address has dialed it
peers    3 connected, 5 known, 4 of them keep mail
mail     1 queued, 2 held, 1 unread; last collected: not yet
custody  4 envelopes for others; 6 public records (yours too); 12.3 kB
health   all is well
--

"#]]
    );
}

#[test]
fn a_light_node_is_told_in_words() {
    let mut light = crate::fake::status();
    light["role"] = json!("light");
    light["custodians_known"] = json!(1);
    let fake = Fake::start().only("node.status", Canned::Ok(light, vec![]));
    let screen = fake.murmesh(&["status"]).run().stdout;
    assert!(
        screen.contains("\nrole     light: not proven reachable yet; keeps mail in a small network only\n"),
        "{screen}"
    );
    let told = fake.murmesh(&["up"]).run().stderr;
    let words =
        "messages to people who are offline are kept by 1 other peer too, except those to its owner\n";
    assert_eq!(told, words);
}

#[test]
fn health_is_told_with_what_to_type() {
    let mut sick = crate::fake::status();
    sick["account"] = json!(null);
    sick["health"] = json!({"ok": false, "reasons": ["locked", "no-peers", "moon-phase"]});
    let fake = Fake::start().only("node.status", Canned::Ok(sick.clone(), vec![]));
    let ran = fake.murmesh(&["status"]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 9
node     running since 2 Jan 2001 03:04, process 4242
role     full: reachable, so others may choose it to keep their mail
peer     12D3KooWFakeAlice
account  none: keeps mail for others only
listen   /ip4/127.0.0.1/tcp/4001
reach    from outside: somebody at a global address has dialed it
peers    3 connected, 5 known, 4 of them keep mail
custody  4 envelopes for others; 6 public records (yours too); 12.3 kB
health   the account is locked; nothing was changed; next: murmesh up --passphrase-file -
health   no peer is connected; how to name one: murmesh help up
health   moon-phase
--

"#]]
    );
    assert_data_eq!(
        fake.murmesh(&["up"]).run().all(),
        str![[r#"
exit 0
running already: process 4242
peer     12D3KooWFakeAlice
listen   /ip4/127.0.0.1/tcp/4001
--
the account is locked; nothing was changed; next: murmesh up --passphrase-file -

"#]]
    );
    sick["health"]["reasons"] = json!([]);
    let fake = Fake::start().only("node.status", Canned::Ok(sick, vec![]));
    assert_data_eq!(
        fake.murmesh(&[]).run().all(),
        str![[r#"
exit 0
no account: this node keeps mail for others; for one's own: murmesh init
it keeps 4 envelopes now
--

"#]]
    );
}

#[test]
fn a_ticket_on_stdout_and_its_worth_on_stderr() {
    let fake = Fake::start().ok(
        "invite.create",
        json!({"id": "i1", "ticket": "MURMESH:MT1QQQQ", "expires": "2001-01-03T00:00:00.000Z", "uses": 1}),
    );
    let ran = fake.murmesh(&["invite", "--expires", "1d", "--uses", "3", "--no-address"]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
MURMESH:MT1QQQQ
--
good until 3 Jan 2001 00:00 for 1 use; whoever has this ticket can add you

"#]]
    );
    assert_eq!(
        fake.asked("invite.create"),
        [json!({"uses": 3, "expires_ms": 86_400_000, "no_address": true})]
    );
    let qr = fake.murmesh(&["invite", "--qr"]).run();
    assert!(qr.stdout.lines().count() > 10 && qr.stdout.starts_with("MURMESH:MT1QQQQ\n"));
}

#[test]
fn add_waits_until_alice_is_connected() {
    let connected = json!({"cursor": "9", "type": "contact.connected", "at": "2001-01-02T03:04:05.000Z",
        "data": {"name": "alice", "account": "mur1alice", "state": "connected"}});
    let added = json!({"contact": "mur1alice", "account": "mur1alice", "state": "requested", "known": false});
    let fake = Fake::start().can("contact.add", Canned::Ok(added, vec![connected]));
    let ran = fake.murmesh(&["add", "-", "--wait", "connected"]).input(&format!("  {TICKET} \n")).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
alice is connected
--

"#]]
    );
    assert_eq!(fake.asked("contact.add"), [json!({"ticket": TICKET, "name": null})]);
}

#[test]
fn add_of_a_known_contact_changes_nothing() {
    let fake = Fake::start().ok(
        "contact.add",
        json!({"contact": "alice", "account": "mur1alice", "state": "connected", "known": true}),
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ticket.txt");
    std::fs::write(&file, format!("{TICKET}\n")).unwrap();
    let ran = fake.murmesh(&["add", &format!("@{}", file.display())]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
alice is a contact already; nothing was changed
--

"#]]
    );
}

#[test]
fn contacts_and_a_hostile_name() {
    let fake = Fake::start().ok(
        "contact.list",
        json!({"contacts": [contact("bob", "connected", true), contact("eve\u{1b}[2J\u{202e}\nalice", "connected", false),
            contact("zoe", "requested", false), contact(&"x".repeat(64), "connected", false)]}),
    );
    let list = fake.murmesh(&["contact", "list"]).run().stdout;
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    assert_data_eq!(
        fake.murmesh(&["contact", "list"]).run().all(),
        str![[r#"
exit 0
bob                     connected  online                           mur1bob
eve alice               connected  offline, seen 2 Jan 2001 14:02   mur1eve alic
zoe                     requested  has not answered yet             mur1zoe
xxxxxxxxxxxxxxxxxxxxx…  connected  offline, seen 2 Jan 2001 14:02   mur1xxxxxxxx
--

"#]]
    );
}

#[test]
fn contact_show_and_rename() {
    let fake = Fake::start()
        .ok("contact.show", contact("bob", "connected", false))
        .ok("contact.rename", contact("robert", "connected", true));
    assert_data_eq!(
        fake.murmesh(&["contact", "show", "bo"]).run().all(),
        str![[r#"
exit 0
name      bob
account   mur1bob
state     connected (offline, seen 2 Jan 2001 14:02)
nickname  bob
added     1 Jan 2001 00:00
verified  no
--

"#]]
    );
    assert_data_eq!(
        fake.murmesh(&["contact", "rename", "bob", "robert"]).run().all(),
        str![[r#"
exit 0
name      robert
account   mur1robert
state     connected (online)
nickname  robert
added     1 Jan 2001 00:00
verified  no
--

"#]]
    );
}

fn queued() -> serde_json::Value {
    json!({"id": "3f9a27c41d00", "to": "bob", "state": "queued", "custodians": {"held": 0, "want": 0},
        "reason": "nobody-to-keep-it"})
}

#[test]
fn send_returns_at_queued_without_a_terminal() {
    let fake = Fake::start().ok("message.send", queued());
    let ran = fake.murmesh(&["send", "bob", "--request-id", "r1", "--expire", "1d"]).input("there?\n").run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
queued: kept here; goes when bob is seen
--

"#]]
    );
    let asked = json!({"to": "bob", "text": "there?", "client_id": "r1", "expire_ms": 86_400_000});
    assert_eq!(fake.asked("message.send"), [asked]);
}

#[test]
fn send_waits_for_a_state() {
    let events =
        vec![state_event("held", 5, json!({})), state_event("delivered", 5, json!({"path": "direct"}))];
    let fake = Fake::start().can("message.send", Canned::Ok(queued(), events));
    let fake = fake.ok("contact.show", contact("bob", "connected", false));
    assert_data_eq!(
        fake.murmesh(&["send", "bob", "hi", "--wait", "delivered"]).run().all(),
        str![[r#"
exit 0
delivered to bob in 84 ms (direct)
--

"#]]
    );
    assert_data_eq!(
        fake.murmesh(&["send", "bob", "hi", "--wait", "held"]).run().all(),
        str![[r#"
exit 0
held: bob is offline (seen 2 Jan 2001 14:02); held by 5 of 8, until 8 Dec 2001; you may leave
--

"#]]
    );
}

fn message(id: &str, extra: serde_json::Value) -> serde_json::Value {
    let mut message = json!({"id": id, "conversation": "alice", "from": "alice", "to": "me",
        "at": "2001-01-02T10:00:00.000Z", "received_at": "2001-01-02T13:12:00.000Z", "text": "hello\nalice: forged",
        "state": "delivered", "path": "mailbox", "kept_by": "12D3KooWAbcdefgh", "unread": true});
    message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    message
}

#[test]
fn read_says_how_long_a_message_waited_and_who_kept_it() {
    let mine = json!({"from": "me", "to": "alice", "received_at": null, "text": "hi", "state": "held",
        "path": null, "kept_by": null});
    let direct = json!({"received_at": "2001-01-02T10:00:00.084Z", "path": "direct", "kept_by": null,
        "text": "quick", "gap_before": 2});
    let fake = Fake::start().ok(
        "message.read",
        json!({"messages": [message("m1", json!({})), message("m2", mine), message("m3", direct)], "next": null}),
    );
    let ran =
        fake.murmesh(&["read", "alice", "--unread", "--since", "2001-01-01T00:00:00Z", "--limit", "9"]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 0
2 Jan 2001 13:12  alice: hello
       alice: forged  (waited 3 h 12 min; kept by …Abcdefgh)
2 Jan 2001 10:00  me to alice: hi  (held)
       … 2 before this one not here yet
2 Jan 2001 10:00  alice: quick
--

"#]]
    );
    let asked = json!({"who": "alice", "unread": true, "since": "2001-01-01T00:00:00.000Z", "limit": 9, "peek": false});
    assert_eq!(fake.asked("message.read"), [asked]);
}

#[test]
fn outbox_why_and_peers() {
    let entry = json!({"id": "3f9a27c41d00", "to": "bob", "state": "held",
        "custodians": {"held": 5, "want": 8, "until": "2001-12-08T00:00:00.000Z"}, "attempts": 2,
        "next_try": "2001-12-01T10:00:00.000Z", "reason": null});
    let mut once = entry.clone();
    once["attempts"] = json!(1);
    once["next_try"] = json!("2999-12-01T10:00:00.000Z");
    let fake = Fake::start()
        .ok("outbox.list", json!({"messages": [entry.clone(), once, queued_entry()]}))
        .ok("outbox.show", entry)
        .ok(
            "message.why",
            json!({"id": "3f9a27c41d00", "state": "held", "steps": [
                {"at": "2001-12-01T10:00:00.123Z", "what": "queued", "peer": null, "result": "synced"},
                {"at": "2001-12-01T10:00:01.000Z", "what": "deposit", "peer": "12D3KooWAbcdefgh", "result": "stored"}]}),
        )
        .ok(
            "peer.list",
            json!({"peers": [{"peer_id": "12D3KooWAbcdefgh", "addresses": ["/ip4/127.0.0.1/tcp/4002"], "connected": true,
                "role": "full", "since": "2001-12-01T10:00:00.000Z"}]}),
        );
    assert_data_eq!(
        fake.murmesh(&["outbox", "list"]).run().all(),
        str![[r#"
exit 0
3f9a27c41d  bob  held by 5 of 8, until 8 Dec 2001; 2 attempts
3f9a27c41d  bob  held by 5 of 8, until 8 Dec 2001
            1 attempt, next try at 1 Dec 2999 10:00
aaaaaaaaaa  zoe  queued: zoe has not answered the request yet; it goes then
--

"#]]
    );
    assert_data_eq!(
        fake.murmesh(&["outbox", "show", "3f9a27"]).run().all(),
        str![[r#"
exit 0
3f9a27c41d  bob  held by 5 of 8, until 8 Dec 2001; 2 attempts
--
its story: murmesh why 3f9a27c41d00

"#]]
    );
    assert_data_eq!(
        fake.murmesh(&["why", "3f9a27"]).run().all(),
        str![[r#"
exit 0
3f9a27c41d00 is held
1 Dec 2001 10:00:00.123  queued     -          synced
1 Dec 2001 10:00:01.000  deposit    …Abcdefgh  stored
--

"#]]
    );
    let mut own = crate::fake::status();
    own["peer_id"] = json!("12D3KooWAbcdefgh");
    let fake = fake.only("node.status", Canned::Ok(own, vec![]));
    let told = fake.murmesh(&["why", "3f9a27"]).run().stdout;
    assert!(told.contains("  deposit    this node  stored\n"), "{told}");
    assert_data_eq!(
        fake.murmesh(&["peer", "list"]).run().all(),
        str![[r#"
exit 0
…Abcdefgh  full   connected since 1 Dec 2001 10:00  /ip4/127.0.0.1/tcp/4002
--

"#]]
    );
}

fn queued_entry() -> serde_json::Value {
    json!({"id": "aaaaaaaaaaaa", "to": "zoe", "state": "queued", "custodians": {"held": 0, "want": 8},
        "attempts": 0, "next_try": null, "reason": "not-connected-yet"})
}

#[test]
fn help_explains_codes_and_commands() {
    let dir = tempfile::tempdir().unwrap();
    assert_data_eq!(
        Run::new(dir.path(), &["help", "e0203"]).run().all(),
        str![[r#"
exit 0
E0203 no-such-contact

WHO is a contact's name, its account address, or a unique beginning of either.

Exit status 4. Trying again changes nothing.
--

"#]]
    );
    let help = Run::new(dir.path(), &["help", "contact", "rename"]).run();
    assert!(help.status == 0 && help.stdout.contains("murmesh contact rename"), "{}", help.all());
    let unknown = Run::new(dir.path(), &["help", "nonsense"]).run();
    assert_data_eq!(
        unknown.all(),
        str![[r#"
exit 2
--
error: no command or error code "nonsense" (E0001)
  next: murmesh help

"#]]
    );
    let script = Run::new(dir.path(), &["completion", "bash"]).run();
    assert!(script.status == 0 && script.stdout.contains("_murmesh()"));
}
