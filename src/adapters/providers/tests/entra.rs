//! Microsoft Entra: admitted people, their subjects and their e-mails. The claims are those of
//! learn.microsoft.com/entra/identity-platform/id-token-claims-reference; the metadata and the keys' `issuer` are those
//! that login.microsoftonline.com publishes.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::open_id::id_tokens::{Signer, claims};
use super::*;
use crate::domain::gateway::models::signing_key::SigningAlgorithm;

const CONTOSO: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const FABRIKAM: &str = "0a1b2c3d-86f1-41af-91ab-2d7cd011db47";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const MINA: &str = "00000000-0000-0000-66f3-3332eca7ea81";
const GROUP: &str = "0e129f46-6e1b-4f4c-8d2a-5a2f8d3b6a10";

struct Site {
    fake: Fake,
    tenant: String,
    signer: Signer,
    provider: Arc<dyn Provider>,
}

impl Site {
    /// Entra with the tenant of the setting, and the issuer in its metadata (after the base URL).
    async fn new(tenant: &str, issuer: &str, more: &[(&str, &str)]) -> Self {
        let fake = Fake::start().await;
        let signer = Signer::new(SigningAlgorithm::Rs256);
        let at = |path: &str| fake.url(&format!("/{tenant}/{path}"));
        let document = json!({
            "issuer": fake.url(&format!("/{issuer}/v2.0")),
            "authorization_endpoint": fake.url("/authorize"), "token_endpoint": at("oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "userinfo_endpoint": fake.url("/userinfo"), "jwks_uri": at("discovery/v2.0/keys"),
        });
        fake.on(&format!("GET /{tenant}/v2.0/.well-known/openid-configuration"), document);
        let settings = [&[("ENTRA_TENANT", tenant)], more].concat();
        let provider = provider_with("ENTRA", &fake.url(""), &TestClock::at(NOW), &settings);
        Self { fake, tenant: tenant.to_owned(), signer, provider }
    }

    /// Entra for all tenants: the keys name the issuer template.
    async fn common(more: &[(&str, &str)]) -> Self {
        Self::new("common", "{tenantid}", more).await
    }

    fn issuer(&self, tenant: &str) -> String {
        self.fake.url(&format!("/{tenant}/v2.0"))
    }

    fn claims(&self, tenant: &str) -> Value {
        let mut claims = claims(&self.issuer(tenant));
        let object = claims.as_object_mut().unwrap();
        for other in ["at_hash", "azp", "email_verified"] {
            object.remove(other);
        }
        object.extend(json!({"tid": tenant, "oid": MINA, "ver": "2.0"}).as_object().unwrap().clone());
        claims
    }

    /// The outcome for an id token, with keys published for this issuer.
    async fn outcome_of(&self, id_token: &str, key_issuer: &str) -> Result<(String, Option<String>), ProviderError> {
        let mut jwk = self.signer.jwk.clone();
        // Entra's keys name no algorithm.
        jwk.as_object_mut().unwrap().remove("alg");
        jwk["issuer"] = json!(self.issuer(key_issuer));
        let tokens = json!({"access_token": "s3cret-access", "token_type": "Bearer", "id_token": id_token});
        self.fake
            .on(&format!("GET /{}/discovery/v2.0/keys", self.tenant), json!({"keys": [jwk]}))
            .on(&format!("POST /{}/oauth2/v2.0/token", self.tenant), tokens);
        let outcome = self.provider.exchange(&code()).await;
        outcome.inspect_err(is_discreet).map(|(_, identity)| (identity.subject, identity.verified_email))
    }

    async fn outcome(&self, claims: &Value) -> Result<(String, Option<String>), ProviderError> {
        self.outcome_of(&self.signer.sign(claims), "{tenantid}").await
    }
}

fn not_admitted<T>(rule: AdmissionRule) -> Result<T, ProviderError> {
    Err(ProviderError::NotAdmitted(rule))
}

#[tokio::test]
async fn a_person_is_known_by_tenant_and_object_and_never_asked_for_consent() {
    let site = Site::new(CONTOSO, CONTOSO, &[]).await;
    let query = authorize(&*site.provider).await;
    is_a_code_request(&query);
    assert_eq!(value(&query, "scope"), Some("openid profile email offline_access"));
    assert_eq!((value(&query, "prompt"), value(&query, "nonce")), (None, Some("s3cret-nonce")));
    assert!(!site.provider.refresh_token_takes_consent(&[]), "AADSTS90094");
    let (subject, _) = site.outcome(&site.claims(CONTOSO)).await.unwrap();
    assert_eq!(subject, format!("{CONTOSO}.{MINA}"));
    assert_eq!((site.provider.name().as_str(), site.provider.display_name()), ("entra", "Microsoft"));
    assert_eq!(site.fake.count("GET /userinfo"), 0);
    for (claim, flaw) in [
        ("oid", "it does not identify the person (oid)"),
        ("tid", "the id token is signed with the key of another issuer"),
    ] {
        for wrong in [json!("mina"), json!(null), json!(1)] {
            let mut claims = site.claims(CONTOSO);
            claims[claim] = wrong;
            assert_eq!(bad_response(site.outcome(&claims).await), flaw);
        }
    }
    assert_eq!(site.provider.revoke(&tokens(Some("s3cret-r"))).await, Err(ProviderError::Unsupported));
}

#[tokio::test]
async fn one_tenant_is_one_issuer() {
    for (tenant, issuer, is_it) in [
        (CONTOSO, CONTOSO, true),
        (CONTOSO, FABRIKAM, false),
        (CONTOSO, "{tenantid}", false),
        ("contoso.com", CONTOSO, true),
        ("contoso.com", "{tenantid}", false),
        ("contoso.com", "contoso.com", false),
        ("consumers", PERSONAL, true),
        ("consumers", CONTOSO, false),
        ("common", "{tenantid}", true),
        ("common", CONTOSO, false),
        ("organizations", "{tenantid}", true),
    ] {
        let site = Site::new(tenant, issuer, &[]).await;
        let outcome = site.provider.authorize_url(&request(&*site.provider)).await;
        if is_it {
            assert!(outcome.is_ok(), "{tenant} {issuer}: {outcome:?}");
        } else {
            assert_eq!(bad_response(outcome), "its metadata belong to another issuer", "{tenant} {issuer}");
        }
    }
    let site = Site::new("contoso.com", CONTOSO, &[]).await;
    assert_eq!(site.outcome(&site.claims(CONTOSO)).await.unwrap().0, format!("{CONTOSO}.{MINA}"));
    let outcome = site.outcome(&site.claims(FABRIKAM)).await;
    assert_eq!(bad_response(outcome), "the id token has another iss");
}

#[tokio::test]
async fn each_tenant_of_many_is_an_issuer_of_its_own() {
    let site = Site::common(&[]).await;
    for tenant in [CONTOSO, FABRIKAM, PERSONAL] {
        assert_eq!(site.outcome(&site.claims(tenant)).await.unwrap().0, format!("{tenant}.{MINA}"));
    }
    for (claim, wrong) in [
        ("tid", json!(FABRIKAM)),
        ("tid", json!(null)),
        ("tid", json!("common")),
        ("tid", json!("{tenantid}")),
        ("iss", json!(site.issuer("{tenantid}"))),
        ("iss", json!(site.issuer("common"))),
        ("iss", json!(site.issuer(FABRIKAM))),
        ("iss", json!("https://evil.example/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0")),
    ] {
        let mut claims = site.claims(CONTOSO);
        claims[claim] = wrong.clone();
        assert_eq!(bad_response(site.outcome(&claims).await), "the id token has another iss", "{claim} {wrong}");
    }
}

/// The keys of personal accounts are in the same set as those of all tenants, and name their issuer.
#[tokio::test]
async fn a_key_signs_for_its_own_issuer_alone() {
    for (key_issuer, tenant, is_good) in [
        ("{tenantid}", CONTOSO, true),
        (CONTOSO, CONTOSO, true),
        (PERSONAL, PERSONAL, true),
        (PERSONAL, CONTOSO, false),
        (FABRIKAM, CONTOSO, false),
    ] {
        let site = Site::common(&[]).await;
        let outcome = site.outcome_of(&site.signer.sign(&site.claims(tenant)), key_issuer).await;
        if is_good {
            assert!(outcome.is_ok(), "{key_issuer} {tenant}: {outcome:?}");
        } else {
            assert_eq!(bad_response(outcome), "the id token is signed with the key of another issuer");
        }
    }
}

#[tokio::test]
async fn people_of_tenants_that_are_not_listed_do_not_get_in() {
    let listed = format!("{}, {FABRIKAM}", CONTOSO.to_uppercase());
    let site = Site::common(&[("ENTRA_ALLOWED_TENANTS", &listed)]).await;
    for tenant in [CONTOSO, FABRIKAM] {
        assert!(site.outcome(&site.claims(tenant)).await.is_ok(), "{tenant}");
    }
    for tenant in [PERSONAL, "11111111-86f1-41af-91ab-2d7cd011db47"] {
        assert_eq!(site.outcome(&site.claims(tenant)).await, not_admitted(AdmissionRule::Tenant), "{tenant}");
    }
}

#[tokio::test]
async fn an_address_is_proven_only_where_its_domains_owner_was_verified() {
    let site = Site::new(CONTOSO, CONTOSO, &[]).await;
    site.fake.on("GET /userinfo", json!({"sub": "u-1", "email": "mina@example.com", "email_verified": true}));
    for (edov, is_proven) in [
        (json!(true), true),
        (json!(1), true),
        (json!("1"), true),
        (json!("true"), true),
        (json!(false), false),
        (json!(0), false),
        (json!("0"), false),
        (json!("false"), false),
        (json!("yes"), false),
        (json!([true]), false),
        (json!(null), false),
    ] {
        let mut claims = site.claims(CONTOSO);
        claims["xms_edov"] = edov.clone();
        let (_, email) = site.outcome(&claims).await.unwrap();
        assert_eq!(email.as_deref(), is_proven.then_some("mina@example.com"), "{edov}");
    }
    // Any tenant's administrator can write these: they prove nothing.
    let mut claims = site.claims(CONTOSO);
    claims["email_verified"] = json!(true);
    claims["preferred_username"] = json!("mina@example.com");
    assert_eq!(site.outcome(&claims).await.unwrap().1, None);
    claims.as_object_mut().unwrap().remove("name");
    assert_eq!(site.outcome(&claims).await.unwrap().1, None, "userinfo may tell the name, and no more");
    assert_eq!(site.fake.count("GET /userinfo"), 1);
}

#[tokio::test]
async fn only_members_of_one_of_the_groups_get_in() {
    let open = Site::new(CONTOSO, CONTOSO, &[]).await;
    assert!(open.outcome(&open.claims(CONTOSO)).await.is_ok());
    let groups = format!("{}, Staff", GROUP.to_uppercase());
    let site = Site::new(CONTOSO, CONTOSO, &[("ENTRA_GROUPS", &groups)]).await;
    let names = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.microsoft.com/…"}}});
    for (more, outcome) in [
        (json!({"groups": ["another", GROUP]}), Ok(())),
        (json!({"groups": ["staff"]}), Ok(())),
        (json!({"groups": ["another"]}), not_admitted(AdmissionRule::Group)),
        (json!({"groups": []}), not_admitted(AdmissionRule::Group)),
        (json!({"groups": GROUP}), not_admitted(AdmissionRule::Group)),
        (json!({}), not_admitted(AdmissionRule::Group)),
        (names, not_admitted(AdmissionRule::GroupsElsewhere)),
        (json!({"hasgroups": true}), not_admitted(AdmissionRule::GroupsElsewhere)),
    ] {
        let mut claims = site.claims(CONTOSO);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(site.outcome(&claims).await.map(drop), outcome, "{more}");
    }
}

#[tokio::test]
async fn every_id_token_that_is_wrong_is_refused() {
    let site = Site::common(&[]).await;
    let with = |claim: &str, value: Value| {
        let mut claims = site.claims(CONTOSO);
        claims[claim] = value;
        site.signer.sign(&claims)
    };
    let hmac = Header { kid: site.signer.jwk["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::HS256) };
    let key = EncodingKey::from_secret(site.signer.jwk["n"].as_str().unwrap().as_bytes());
    let confused = jsonwebtoken::encode(&hmac, &site.claims(CONTOSO), &key).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", confused.split('.').nth(1).unwrap());
    for (token, flaw) in [
        (with("aud", json!("client:2")), "has another aud"),
        (with("exp", json!(NOW - 5)), "has expired"),
        (with("nbf", json!(NOW + 61)), "is not valid yet"),
        (unsigned, "is not signed with the algorithm of its key"),
        (confused, "is not signed with the algorithm of its key"),
    ] {
        assert_eq!(bad_response(site.outcome_of(&token, "{tenantid}").await), format!("the id token {flaw}"));
    }
    let outcome = site.outcome_of(&with("nonce", json!("another")), "{tenantid}").await;
    assert_eq!(outcome, Err(ProviderError::NonceMismatch));
}

/// learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#error-codes-for-token-endpoint-errors
#[tokio::test]
async fn errors_of_the_token_endpoint_mean_what_the_documentation_says() {
    let site = Site::new(CONTOSO, CONTOSO, &[]).await;
    for (status, code, error) in [
        (400, "invalid_grant", invalid_grant("invalid_grant")),
        (400, "interaction_required", invalid_grant("interaction_required")),
        (401, "invalid_client", misconfigured("invalid_client")),
        (400, "unauthorized_client", misconfigured("unauthorized_client")),
        (400, "invalid_request", refused("invalid_request")),
        (400, "temporarily_unavailable", ProviderError::Unavailable("temporarily_unavailable".to_owned())),
    ] {
        let body = json!({"error": code, "error_description": "AADSTS70008: s3cret", "error_codes": [70008]});
        site.fake.on(&format!("POST /{CONTOSO}/oauth2/v2.0/token"), (status, body));
        assert_eq!(site.provider.refresh(&tokens(Some("s3cret-r"))).await, Err(error), "{code}");
    }
}

#[tokio::test]
async fn a_response_that_names_another_issuer_is_not_entras() {
    let site = Site::common(&[]).await;
    for issuer in [site.issuer(CONTOSO), site.issuer(PERSONAL)] {
        assert_eq!(site.provider.check_issuer(Some(&issuer)).await, Ok(()));
    }
    assert_eq!(site.provider.check_issuer(None).await, Ok(()));
    for issuer in [site.issuer("common"), site.issuer("{tenantid}"), format!("https://evil.example/{CONTOSO}/v2.0")] {
        let foreign = bad_response(site.provider.check_issuer(Some(&issuer)).await);
        assert_eq!(foreign, "the authorization response has another issuer", "{issuer}");
    }
}
