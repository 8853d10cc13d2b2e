//! Asks the linker for a smaller binary where that is known to work.

use std::{env, process::Command};

/// The first glibc that supports packed relocations.
const GLIBC: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if is_release_for_this_machine() && glibc().is_some_and(|found| found >= GLIBC) {
        // 56,000 addresses are relocated at every start. Packed, their list takes 23 KiB instead of 1.3 MiB, all of
        // which is read and so stays in memory. Such a binary does not start on a system with an older glibc.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Development builds may run on other machines, whose glibc is unknown.
fn is_release_for_this_machine() -> bool {
    variable("PROFILE") == "release"
        && variable("TARGET") == variable("HOST")
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && variable("CARGO_CFG_TARGET_ARCH") == "x86_64"
}

#[expect(clippy::disallowed_methods, reason = "cargo describes the build in environment variables")]
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The version of this machine's glibc, as `getconf` prints it: `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
