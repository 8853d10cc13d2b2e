use super::*;

#[test]
fn a_subject_is_one_line_of_ascii_and_unique() {
    for (subject, text) in [
        ("u1", "u1"),
        ("google|1@x.example", "google|1@x.example"),
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("a\r\nX-User-Scope: admin", "a%0D%0AX-User-Scope:%20admin"),
        ("\u{7f}\0", "%7F%00"),
        ("김", "%EA%B9%80"),
    ] {
        assert_eq!(header_text(subject), text);
    }
}
