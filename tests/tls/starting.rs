//! The gateway's messages about its certificate before it serves.

use std::process::Output;

use super::{
    client::{Client, Files, Pair, ask},
    gateway, run,
};

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_mistake_in_the_files_is_told_with_all_the_others() {
    let (pair, other) = (Pair::new(), Pair::new());
    let files = Files::of(&pair);
    let certificate = files.certificate().to_str().unwrap().to_owned();
    for command in [&[][..], &["serve"], &["check"]] {
        files.write_key(&other.key_pem);
        let output = run(&files, command, &[("PORT", "x"), ("TIMEZONE", "Mars")]);
        assert_eq!(output.status.code(), Some(64), "{command:?}");
        let complaint = told(&output);
        assert!(complaint.starts_with("3 settings need your attention:"), "{complaint}");
        for part in
            ["PORT must", "TIMEZONE must", "TLS_KEY must", "the key of the first certificate in TLS_CERTIFICATE"]
        {
            assert!(complaint.contains(part), "{part}: {complaint}");
        }

        files.write_key(&other.certificate_pem);
        std::fs::remove_file(files.certificate()).unwrap();
        let complaint = told(&run(&files, command, &[]));
        assert!(
            complaint.contains(&format!("TLS_CERTIFICATE must name a readable file, not {certificate:?}; ")),
            "{complaint}"
        );
        assert!(complaint.contains("TLS_KEY must name a file with a private key in PEM"), "{complaint}");
        files.write_certificate(&pair.certificate_pem);
    }
    let complaint = told(&run(&files, &["check"], &[("TLS_KEY", "")]));
    assert!(
        complaint.contains("TLS_KEY is required with TLS_CERTIFICATE: the file with its private key"),
        "{complaint}"
    );
}

#[test]
fn check_says_until_when_the_certificate_is_valid() {
    let files = Files::of(&Pair::until(2998));
    let output = run(&files, &["check"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with(
            "the settings are good\nthe certificate of TLS_CERTIFICATE is valid until 2998-01-01 00:00:00 UTC\n"
        ),
        "{said}"
    );
}

#[test]
fn an_expired_certificate_is_a_warning() {
    let pair = Pair::until(2001);
    let output = run(&Files::of(&pair), &["check"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        told(&output),
        "warning: the certificate of TLS_CERTIFICATE has expired: it was valid until 2001-01-01 00:00:00 UTC\n"
    );
    let (gateway, _files) = gateway(&pair, &[]);
    assert!(gateway.printed("has expired").contains("WARN"), "{}", gateway.console());
}

#[test]
fn the_banner_says_https() {
    let (gateway, _files) = gateway(&Pair::new(), &[]);
    assert!(gateway.printed("/docs ").trim().starts_with("https://localhost:"), "{}", gateway.console());
    assert!(gateway.printed("/readyz ").trim().starts_with("http://"), "{}", gateway.console());
}

#[test]
fn in_development_people_sign_in_by_https() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, &[("PUBLIC_URL", "")]);
    let mut connection = Client::that_trusts(&[&pair]).connect(gateway.address).unwrap();
    let sent_away = ask(&mut connection, "/login/stand-in", "");
    let location = sent_away.header("location").unwrap();
    let callback = format!("redirect_uri=https%3A%2F%2Flocalhost%3A{}%2Flogin", gateway.address.port());
    assert!(location.contains(&callback), "{location}");
    let cookie = sent_away.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure"), "{cookie}");
}
