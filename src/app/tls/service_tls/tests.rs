use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;
use crate::{
    domain::gateway::models::service::{Instance, ServicePolicy, ServiceUrl, Source},
    edge::origination::Originator,
};

fn authority() -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn service(url: &str, ca: &Path) -> Service {
    let url: ServiceUrl = url.parse().unwrap();
    let tls = ServiceTls { ca: Some(ca.to_owned()), ..ServiceTls::default() };
    Service {
        name: "auth".parse().unwrap(),
        instances: vec![Arc::new(Instance::at(&url, url.port, Vec::new(), Source::Static))],
        policy: Arc::new(ServicePolicy { tls, ..ServicePolicy::default() }),
    }
}

fn only(originators: &Originators) -> Arc<Originator> {
    assert_eq!(originators.len(), 1);
    originators.values().next().unwrap().clone()
}

#[test]
fn services_with_tls_have_an_originator_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority()).unwrap();
    let keeper = ServiceTlsKeeper::default();
    assert!(keeper.originators_of(&[service("http://a", &ca)]).is_empty());
    let first = only(&keeper.originators_of(&[service("https://a", &ca)]));
    assert!(first.config().is_ok());
    let second = only(&keeper.originators_of(&[service("https://a", &ca), service("h2s://b", &ca)]));
    assert!(Arc::ptr_eq(&first, &second));
    assert!(keeper.originators_of(&[]).is_empty() && keeper.kept().is_empty());
}

#[test]
fn replaced_files_count_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let keeper = ServiceTlsKeeper::default();
    let originator = only(&keeper.originators_of(&[service("https://a", &ca)]));
    let why = originator.config().unwrap_err();
    assert!(why.starts_with("tls.ca must name a readable file"), "{why}");
    fs::write(&ca, authority()).unwrap();
    keeper.look();
    let first = originator.config().unwrap();
    keeper.look();
    assert!(Arc::ptr_eq(&first, &originator.config().unwrap()), "nothing has changed");
    fs::write(&ca, "broken").unwrap();
    for _ in 0..3 {
        keeper.look();
    }
    assert!(Arc::ptr_eq(&first, &originator.config().unwrap()));
    let told = |keeper: &ServiceTlsKeeper| keeper.kept().values().next().unwrap().told.is_some();
    assert!(told(&keeper));
    fs::write(&ca, authority()).unwrap();
    keeper.look();
    assert!(!Arc::ptr_eq(&first, &originator.config().unwrap()) && !told(&keeper));
}
