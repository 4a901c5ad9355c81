//! Requests as a person and a bot see them.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::fake::{Fake, Run, contact, status};

/// An account address.
const ACCOUNT: &str = "mur16zjcee7gdm75tryv3tedxn6srqemmaqus5ljlt9lzvdegvs0hpasdwr955";

fn request(id: &str, name: &str, text: &str) -> Value {
    json!({"id": id, "account": ACCOUNT, "name": name, "at": "2001-01-02T14:02:00.000Z",
        "until": "2001-01-16T14:02:00.000Z", "text": text})
}

#[test]
fn who_asks_is_listed_with_what_they_say() {
    let waiting = [
        request("49a5e651", "carol", "it is me,\nfrom the train"),
        request("00000001", "", ""),
        request("00000002", "eve\u{1b}[2J\u{202e}\nalice", "\u{1b}]0;x\u{7}hi"),
    ];
    let fake = Fake::start().ok("request.list", json!({"requests": waiting, "accepts": "anyone"}));
    assert_data_eq!(
        fake.murmesh(&["request", "list"]).run().all(),
        str![[r#"
exit 0
49a5e651  2 Jan 2001 14:02  calls itself carol
    mur16zjcee7gdm75tryv3tedxn6srqemmaqus5ljlt9lzvdegvs0hpasdwr955
    it is me,
    from the train
00000001  2 Jan 2001 14:02  without a name
    mur16zjcee7gdm75tryv3tedxn6srqemmaqus5ljlt9lzvdegvs0hpasdwr955
00000002  2 Jan 2001 14:02  calls itself eve alice
    mur16zjcee7gdm75tryv3tedxn6srqemmaqus5ljlt9lzvdegvs0hpasdwr955
    hi
--

"#]]
    );
    for (accepts, told) in [
        ("anyone", "nobody asks\n"),
        ("with-invite", "accept_requests = \"anyone\""),
        ("nobody", "\"nobody\""),
    ] {
        let fake = Fake::start().ok("request.list", json!({"requests": [], "accepts": accepts}));
        let ran = fake.murmesh(&["request", "list"]).run();
        assert!(ran.stdout.is_empty() && ran.stderr.contains(told), "{}", ran.all());
    }
}

#[test]
fn a_request_is_accepted_or_declined() {
    let fake = Fake::start()
        .ok("request.accept", contact("carol", "requested", false))
        .ok("request.decline", json!({"state": "declined"}))
        .ok("request.decline", json!({"state": "blocked"}));
    assert_data_eq!(
        fake.murmesh(&["request", "accept", "49a5", "--as", "carol"]).run().all(),
        str![[r#"
exit 0
carol is a contact now
--
what they said so far: murmesh read carol

"#]]
    );
    assert_eq!(fake.asked("request.accept"), [json!({"id": "49a5", "name": "carol"})]);
    let declined = fake.murmesh(&["request", "decline", "49a5"]).run();
    assert_eq!(declined.stdout, "declined: they are not told, and not heard for 90 days\n");
    let blocked = fake.murmesh(&["request", "decline", "49a5", "--block"]).run();
    assert_eq!(blocked.stdout, "blocked: they are not told, and not heard unless you unblock them\n");
    let asked = [json!({"id": "49a5", "block": false}), json!({"id": "49a5", "block": true})];
    assert_eq!(fake.asked("request.decline"), asked);
    let fake = Fake::start().err("request.accept", json!({"name": "no-such-request", "detail": "zed"}));
    let ran = fake.murmesh(&["request", "accept", "zed", "--json"]).run();
    assert_eq!((ran.status, &ran.document()["error"]["code"]), (4, &json!("E0216")));
    let fake = Fake::start().err("invite.create", json!({"name": "closed"}));
    assert_eq!(fake.murmesh(&["invite"]).run().status, 8);
}

#[test]
fn requests_are_hinted_at() {
    let mut asked = status();
    asked["requests"] = json!(2);
    asked["unread"] = json!(0);
    let fake = Fake::start().only("node.status", crate::fake::Canned::Ok(asked, Vec::new()));
    let told = "2 strangers ask to be let in: murmesh request list\n";
    let screen = fake.murmesh(&["status"]).run().stdout;
    assert!(screen.contains(&format!("requests {told}")), "{screen}");
    assert!(fake.murmesh(&["up"]).run().stderr.ends_with(told));
    assert!(fake.murmesh(&[]).run().stdout.ends_with("\n  murmesh request list\n"));
    assert_eq!(fake.murmesh(&["status", "--json"]).run().document()["requests"], 2);
    let fake = Fake::start();
    assert!(!fake.murmesh(&["status"]).run().stdout.contains("request"));
}

#[test]
fn an_account_is_added_like_a_ticket() {
    let added = |known: bool| json!({"contact": "mur16zjcee7g", "account": ACCOUNT, "state": "requested", "known": known});
    let fake = Fake::start().ok("contact.add", added(false)).ok("contact.add", added(true));
    let typed = ACCOUNT.to_uppercase();
    assert_data_eq!(
        fake.murmesh(&["add", &typed, "--text", "it is me"]).run().all(),
        str![[r#"
exit 0
asked mur16zjcee7g; no answer yet
--
messages to them wait here until they answer; both need not be online at once

"#]]
    );
    let again = fake.murmesh(&["add", "-", "--text", "it is me"]).input(&format!(" {ACCOUNT}\n")).run();
    assert!(
        again.stderr.starts_with("the text was not sent: murmesh send mur16zjcee7g\n"),
        "{}",
        again.all()
    );
    let asked = json!({"ticket": ACCOUNT, "name": null, "text": "it is me"});
    assert_eq!(fake.asked("contact.add"), [asked.clone(), asked]);
    let mistyped = ACCOUNT.replace("mur16z", "mur16y");
    let ran = Run::new(std::path::Path::new("/nowhere"), &["add", &mistyped]).run();
    assert!(ran.status == 2 && ran.stderr.contains("an account address that is mistyped"), "{}", ran.all());
    let fake = Fake::start().ok("contact.list", json!({"contacts": [contact("zoe", "expired", false)]}));
    let list = fake.murmesh(&["contact", "list"]).run().stdout;
    assert!(list.contains("expired    did not answer in time"), "{list}");
}
