//! The check of the fuzz target for forms in `fuzz/`. Not part of the binary: only the feature `fuzz` includes it.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use poem::{
    Body, Request, RequestBody,
    http::{Method, header::CONTENT_TYPE},
};
use url::form_urlencoded;

use super::shared::extract::{FORM, MAX_FORM_PARAMETERS, posted_form};

/// A form of our own API. The parser reads at most the permitted number of parameters, and agrees with the `url` crate.
pub fn form(bytes: &[u8]) {
    let request = Request::builder().method(Method::POST).header(CONTENT_TYPE, FORM).finish();
    let mut body = RequestBody::new(Body::from(bytes.to_vec()));
    let reading = pin!(posted_form(&request, &mut body));
    let Poll::Ready(read) = reading.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("all of the body is there")
    };
    match read {
        Ok(parameters) => {
            assert!(parameters.len() <= MAX_FORM_PARAMETERS);
            let theirs: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
            assert_eq!(parameters, theirs);
        }
        Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_seeds_are_read_as_they_should_be() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/form");
        for seed in fs::read_dir(seeds).unwrap() {
            let seed = fs::read(seed.unwrap().path()).unwrap();
            (0..=seed.len()).for_each(|length| form(&seed[..length]));
        }
    }
}
