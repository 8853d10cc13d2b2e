use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::registry::{ClientRegistry, NewClient};
use super::*;
use crate::{
    adapters::{client_keys::AwsLcClientKeys, jwt::AwsLcKeyGenerator},
    domain::gateway::{
        models::{
            signing_key::SigningAlgorithm,
            token::{Rejection, TokenRequest},
            values::{digest::Sha256Digest, id::ClientId, identity::Identity},
        },
        repositories::{RepositoryError, memory::MemoryClients},
        services::{
            ports::{KeyGenerator, KeyPair},
            testing::{Bench, bench, policy},
            token::{RefreshError, clients::AnothersToken},
        },
    },
    ports::{Clock, testing::CountingEntropy},
};

const TOKEN_ENDPOINT: &str = "https://www.jinmini.com/e/oauth2/token";

struct Scene {
    bench: Bench,
    clients: ClientService,
    registry: ClientRegistry,
}

impl Scene {
    /// The client as a caller with a token of its own.
    async fn caller(&self, client: &Client) -> Identity {
        let own = self.clients.grant(client, None, None).await.unwrap().access_token;
        self.bench.service.authenticate(own.expose()).await.unwrap().unwrap()
    }

    async fn new() -> Self {
        let store = Arc::new(MemoryClients::default());
        Self::over(store.clone(), store).await
    }

    async fn over(store: Arc<dyn ClientRepository>, seen: Arc<dyn ClientRepository>) -> Self {
        let bench = bench(policy()).await;
        let registry = ClientRegistry {
            store,
            tokens: bench.store.clone(),
            clock: bench.clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
        };
        let clients = ClientService::new(ClientParts {
            store: seen,
            tokens: bench.service.clone(),
            keys: Arc::new(AwsLcClientKeys),
            clock: bench.clock.clone(),
            audiences: vec![policy().issuer, TOKEN_ENDPOINT.into()],
        });
        Self { bench, clients, registry }
    }

    async fn add(&self, name: &str) -> (Client, Secret) {
        let new =
            NewClient { name: name.parse().unwrap(), scope: "read write".parse().unwrap(), audience: None, keys: None };
        let (client, secret) = self.registry.add(new).await.unwrap();
        (client, Secret::new(secret.unwrap().expose()))
    }

    async fn add_with_key(&self) -> (Client, KeyPair) {
        let pair = AwsLcKeyGenerator.generate(SigningAlgorithm::Es256).unwrap();
        let keys = AwsLcClientKeys.read(pair.public_jwk.as_ref().unwrap().to_string().as_bytes()).unwrap();
        let new = NewClient {
            name: "signs".parse().unwrap(),
            scope: Scope::default(),
            audience: Some("orders".into()),
            keys: Some(keys),
        };
        (self.registry.add(new).await.unwrap().0, pair)
    }

    async fn by_assertion(
        &self,
        pair: &KeyPair,
        claims: &Value,
        client_id: Option<&str>,
    ) -> Result<Client, AuthenticationError> {
        let key = EncodingKey::from_ec_der(&pair.private_key.0);
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &key).unwrap();
        let presented =
            PresentedClient::Assertion { client_id: client_id.map(str::to_owned), assertion: Secret::new(assertion) };
        self.clients.authenticate(presented).await
    }

    fn claims(&self, client: &Client, id: &str) -> Value {
        let (name, now) = (client.id.to_string(), self.bench.clock.now().timestamp());
        json!({"iss": name, "sub": name, "aud": TOKEN_ENDPOINT, "jti": id, "iat": now, "exp": now + 60})
    }

    async fn rejection(&self, token: &str) -> Option<Rejection> {
        match self.clients.introspect(token).await.unwrap() {
            Verification::Inactive(why) => Some(why),
            Verification::Access(_) | Verification::Refresh { .. } | Verification::Dummy(_) => None,
        }
    }
}

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_secret_proves_the_client_until_it_is_rotated() {
    let scene = Scene::new().await;
    let (client, secret) = scene.add("one").await;
    let (other, others) = scene.add("other").await;
    let with = async |id: Option<ClientId>, secret: &Secret| {
        scene.clients.authenticate(PresentedClient::Secret { id, secret: secret.clone() }).await
    };
    assert_eq!(with(Some(client.id), &secret).await.unwrap(), client);
    for (id, secret) in [
        (Some(client.id), &others),
        (Some(other.id), &secret),
        (Some(ClientId::from_random([9; 16])), &secret),
        (None, &secret),
    ] {
        assert!(matches!(with(id, secret).await, Err(AuthenticationError::Unknown)));
    }
    scene.registry.rotate(client.id, None).await.unwrap();
    assert!(matches!(with(Some(client.id), &secret).await, Err(AuthenticationError::Unknown)));
}

#[tokio::test]
async fn an_assertion_proves_the_client_once() {
    let scene = Scene::new().await;
    let (client, pair) = scene.add_with_key().await;
    let claims = scene.claims(&client, "1");
    assert_eq!(scene.by_assertion(&pair, &claims, None).await.unwrap(), client);
    assert!(matches!(scene.by_assertion(&pair, &claims, None).await, Err(AuthenticationError::Replayed)));
    let name = client.id.to_string();
    assert!(scene.by_assertion(&pair, &scene.claims(&client, "2"), Some(&name)).await.is_ok());
    let other = scene.by_assertion(&pair, &scene.claims(&client, "3"), Some("another")).await;
    assert!(matches!(other, Err(AuthenticationError::TwoClients)));
    // A refused assertion is not used up.
    let mut early = scene.claims(&client, "4");
    early["nbf"] = json!(scene.bench.clock.now().timestamp() + 30);
    let outcome = scene.by_assertion(&pair, &early, None).await;
    assert!(matches!(outcome, Err(AuthenticationError::Fault(AssertionFault::NotYetValid))));
    scene.bench.clock.pass(TimeDelta::seconds(30));
    assert!(scene.by_assertion(&pair, &early, None).await.is_ok());
}

#[tokio::test]
async fn an_assertion_of_another_client_is_not_accepted() {
    let scene = Scene::new().await;
    let (client, _) = scene.add_with_key().await;
    let (with_secret, secret) = scene.add("one").await;
    let stranger = AwsLcKeyGenerator.generate(SigningAlgorithm::Es256).unwrap();
    let forged = scene.by_assertion(&stranger, &scene.claims(&client, "1"), None).await;
    assert!(matches!(forged, Err(AuthenticationError::Assertion(AssertionError::BadSignature))));
    let keyless = scene.by_assertion(&stranger, &scene.claims(&with_secret, "1"), None).await;
    assert!(matches!(keyless, Err(AuthenticationError::Unknown)));
    let nobody = scene.by_assertion(&stranger, &json!({"sub": "x"}), None).await;
    assert!(matches!(nobody, Err(AuthenticationError::Unknown)));
    let with_key = PresentedClient::Secret { id: Some(client.id), secret };
    assert!(matches!(scene.clients.authenticate(with_key).await, Err(AuthenticationError::Unknown)));
}

#[tokio::test]
async fn a_clients_own_token_names_it_and_comes_without_a_refresh_token() {
    let scene = Scene::new().await;
    let (client, _) = scene.add("one").await;
    let issued = scene.clients.grant(&client, Some(scope("read")), Some(&policy().audience)).await.unwrap();
    assert_eq!((issued.refresh_token, issued.scope, issued.access_ttl), (None, scope("read"), policy().access_ttl));
    let Verification::Access(claims) = scene.clients.introspect(issued.access_token.expose()).await.unwrap() else {
        panic!("no access token")
    };
    assert_eq!((&claims.subject, &claims.client_id), (&client.id.to_string(), &client.id.to_string()));
    assert_eq!(claims.audience, [policy().audience]);
    let all = scene.clients.grant(&client, None, None).await.unwrap();
    assert_eq!(all.scope, scope("read write"));
    assert!(matches!(scene.clients.grant(&client, Some(scope("admin")), None).await, Err(GrantError::Scope(_))));
    assert!(matches!(scene.clients.grant(&client, None, Some("orders")).await, Err(GrantError::Resource)));

    let (abroad, _) = scene.add_with_key().await;
    let issued = scene.clients.grant(&abroad, None, Some("orders")).await.unwrap();
    let Verification::Access(claims) = scene.clients.introspect(issued.access_token.expose()).await.unwrap() else {
        panic!("a token for another audience is still ours to tell of")
    };
    assert_eq!(claims.audience, ["orders"]);
}

#[tokio::test]
async fn a_refresh_token_is_valid_for_the_client_that_it_was_issued_to() {
    let scene = Scene::new().await;
    let ((one, _), (other, _)) = (scene.add("one").await, scene.add("other").await);
    let wish = || TokenRequest { scope: "read write".parse().unwrap(), ..TokenRequest::default() };
    let bound = scene.bench.service.create(wish(), Some(scene.caller(&one).await)).await.unwrap();
    let refused = scene.clients.refresh(&other, bound.refresh_token.expose(), None).await;
    assert!(matches!(refused, Err(ClientRefreshError::Anothers(AnothersToken))));
    let refused = scene.clients.refresh(&one, bound.refresh_token.expose(), Some(scope("read c"))).await;
    assert!(matches!(refused, Err(ClientRefreshError::Scope(_))));
    let nobodys = scene.bench.service.refresh(bound.refresh_token.expose()).await;
    assert!(matches!(nobodys, Err(RefreshError::OfClient)));
    // None of these attempts used it up.
    let next = scene.clients.refresh(&one, bound.refresh_token.expose(), Some(scope("read"))).await.unwrap();
    assert_eq!(next.scope, scope("read"));
    let next = scene.clients.refresh(&one, next.refresh_token.unwrap().expose(), None).await.unwrap();
    assert_eq!(next.scope, scope("read write"), "the family keeps all of it");

    let free = scene.bench.service.create(wish(), None).await.unwrap();
    let next = scene.clients.refresh(&one, free.refresh_token.expose(), None).await.unwrap();
    scene.clients.refresh(&other, next.refresh_token.unwrap().expose(), None).await.unwrap();
    for unknown in ["", "x", "gwr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let outcome = scene.clients.refresh(&one, unknown, None).await;
        assert!(matches!(outcome, Err(ClientRefreshError::Refused(RefreshError::Unknown))), "{unknown}");
    }
    scene.bench.clock.pass(TimeDelta::seconds(11));
    let replayed = scene.clients.refresh(&one, free.refresh_token.expose(), None).await;
    assert!(matches!(replayed, Err(ClientRefreshError::Refused(RefreshError::Reused))));
}

#[tokio::test]
async fn a_client_ends_its_own_tokens_and_those_without_a_client() {
    let scene = Scene::new().await;
    let ((one, _), (other, _)) = (scene.add("one").await, scene.add("other").await);
    let own = scene.clients.grant(&one, None, None).await.unwrap().access_token;
    let caller = scene.caller(&one).await;
    let bound = scene.bench.service.create(TokenRequest::default(), Some(caller)).await.unwrap();
    let next = scene.clients.refresh(&one, bound.refresh_token.expose(), None).await.unwrap();
    // A used refresh token still names its family.
    for token in [own.expose(), bound.access_token.expose(), bound.refresh_token.expose()] {
        let refused = scene.clients.revoke(&other, token).await;
        assert!(matches!(refused, Err(ClientRevokeError::Anothers(AnothersToken))), "{token}");
    }
    assert_eq!(scene.rejection(own.expose()).await, None);
    scene.clients.revoke(&one, own.expose()).await.unwrap();
    assert_eq!(scene.rejection(own.expose()).await, Some(Rejection::Revoked));
    scene.clients.revoke(&one, bound.refresh_token.expose()).await.unwrap();
    for token in [bound.access_token.expose(), next.access_token.expose(), next.refresh_token.unwrap().expose()] {
        assert_eq!(scene.rejection(token).await, Some(Rejection::Revoked));
    }
    let free = scene.bench.service.create(TokenRequest::default(), None).await.unwrap();
    scene.clients.revoke(&other, free.refresh_token.expose()).await.unwrap();
    assert_eq!(scene.rejection(free.access_token.expose()).await, Some(Rejection::Revoked));
    scene.clients.revoke(&other, "unknown").await.unwrap();
}

#[tokio::test]
async fn removing_a_client_ends_its_tokens() {
    let scene = Scene::new().await;
    let ((one, _), (other, _)) = (scene.add("one").await, scene.add("other").await);
    let own = scene.clients.grant(&one, None, None).await.unwrap().access_token;
    let caller = scene.bench.service.authenticate(own.expose()).await.unwrap().unwrap();
    let wish = TokenRequest::default();
    let made = scene.bench.service.create(wish.clone(), Some(caller.clone())).await.unwrap();
    let others = scene.clients.grant(&other, None, None).await.unwrap().access_token;

    assert_eq!(scene.registry.remove(one.id).await.unwrap().1, 2);
    for token in [own.expose(), made.access_token.expose(), made.refresh_token.expose()] {
        assert_eq!(scene.rejection(token).await, Some(Rejection::Revoked));
    }
    assert_eq!(scene.rejection(others.expose()).await, None);
    // A call that began before leaves no lasting tokens.
    let late = scene.bench.service.create(wish, Some(caller)).await;
    assert!(matches!(late, Err(crate::domain::gateway::services::token::CreateError::Revoked)));
    assert!(matches!(scene.clients.grant(&one, None, None).await, Err(GrantError::Removed)));
    assert_eq!(scene.registry.remove(one.id).await.unwrap(), (None, 0), "what was opened late was ended");
}

/// A store that is down.
struct Down;

#[async_trait]
impl ClientRepository for Down {
    async fn add(&self, _: &Client) -> Result<(), RepositoryError> {
        Err(down())
    }
    async fn find(&self, _: ClientId) -> Result<Option<Client>, RepositoryError> {
        Err(down())
    }
    async fn list(&self) -> Result<Vec<Client>, RepositoryError> {
        Err(down())
    }
    async fn replace_credential(&self, _: ClientId, _: &ClientCredential) -> Result<bool, RepositoryError> {
        Err(down())
    }
    async fn remove(&self, _: ClientId) -> Result<Option<Client>, RepositoryError> {
        Err(down())
    }
    async fn redeem(&self, _: &Sha256Digest, _: DateTime<Utc>) -> Result<bool, RepositoryError> {
        Err(down())
    }
    async fn purge_expired(&self, _: DateTime<Utc>) -> Result<u64, RepositoryError> {
        Err(down())
    }
}

fn down() -> RepositoryError {
    RepositoryError::Unavailable("down".into())
}

#[tokio::test]
async fn a_failing_store_is_no_reason_to_reject_the_client() {
    let scene = Scene::over(Arc::new(MemoryClients::default()), Arc::new(Down)).await;
    let (client, secret) = scene.add("one").await;
    let outcome = scene.clients.authenticate(PresentedClient::Secret { id: Some(client.id), secret }).await;
    assert!(matches!(outcome, Err(AuthenticationError::Failed(Failure::Unavailable(_)))));
    let outcome = scene.clients.grant(&client, None, None).await;
    assert!(matches!(outcome, Err(GrantError::Failed(Failure::Unavailable(_)))));
}
